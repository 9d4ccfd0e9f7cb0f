package faultline

import "time"

// LedgerRow accounts for one gateway's frames of one epoch, from their sequences.
// Delivered + Missing + Dropped + Expired = Last - First + 1.
type LedgerRow struct {
	Site      string    `json:"site"`
	Gateway   string    `json:"gateway"`
	Epoch     string    `json:"epoch"`
	First     uint64    `json:"first"`
	Last      uint64    `json:"last"`      // highest sequence seen
	Delivered uint64    `json:"delivered"` // distinct frames that reached the hub
	Late      uint64    `json:"late"`      // of those, stored more than LateAfter after their event time
	Duplicate uint64    `json:"duplicate"` // repeated and dropped
	Possibly  uint64    `json:"possibly_duplicate"`
	Missing   uint64    `json:"missing"`
	Dropped   uint64    `json:"dropped"` // by a declared limit at the edge
	Expired   uint64    `json:"expired"` // older than the raw retention
	Dead      uint64    `json:"dead"`    // lines dead-lettered by ingest
	FirstAt   time.Time `json:"first_at"`
	LastAt    time.Time `json:"last_at"`
	// LastFrame is the time of the frame with the highest sequence of those that arrived.
	LastFrame time.Time `json:"last_frame,omitzero"`
	// Gaps are the missing ranges, Drops those that a declared limit dropped at the edge; oldest first, at most MaxGaps each.
	Gaps  []Gap `json:"gaps,omitempty"`
	Drops []Gap `json:"drops,omitempty"`
}

// MaxGaps bounds the lists of missing and dropped ranges of a ledger row; the counts stay exact.
const MaxGaps = 1000

// MaxAhead is how far a frame's time may be after the moment at which the hub stored it. Beyond it the clock that
// gave it is wrong, and the frame is neither stored nor judged.
const MaxAhead = 24 * time.Hour

// LateAfter is the age at storing from which a frame counts as late.
const LateAfter = 60 * time.Second

// Gap is frames that did not arrive: a range of sequences, both ends included, with its times as far as they are known.
type Gap struct {
	From    uint64    `json:"from"`
	To      uint64    `json:"to"`
	Noticed time.Time `json:"noticed,omitzero"` // when the hub stored what showed the gap, a later frame or a heartbeat
	Before  time.Time `json:"before,omitzero"`  // time of the last frame before it
	After   time.Time `json:"after,omitzero"`   // time of the first frame after it, once that has come
}

// Frames is how many there are.
func (g Gap) Frames() uint64 { return g.To - g.From + 1 }

// SequenceRange is a range of sequences, both ends included.
type SequenceRange struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// DeadLetter is a line that InfluxDB will never take, kept with its reason.
type DeadLetter struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Site     string    `json:"site"`
	Gateway  string    `json:"gateway"`
	Epoch    string    `json:"epoch"`
	Sequence uint64    `json:"sequence"`
	Line     string    `json:"line"`
	Reason   string    `json:"reason"`
	Group    string    `json:"group"` // id of its DeadGroup
}

// DeadGroup is the dead letters of one series that have the same reason, numbers in it apart.
type DeadGroup struct {
	ID      string    `json:"id"`
	Site    string    `json:"site"`
	Gateway string    `json:"gateway"`
	Series  string    `json:"series"` // measurement and tags, at most 200 bytes
	Reason  string    `json:"reason"` // of the last
	Count   int64     `json:"count"`  // of all that there were
	Kept    int64     `json:"kept"`   // of those that can be looked at, the newest
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}
