package faultline

import "time"

// Place is where a consumer stands in a partition's stream: it has dealt with everything up to and
// including Sequence. A restored stream gets a new name, so a place names its stream. The zero Place
// means the beginning.
type Place struct {
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
}

// MessageKind tells what a message of a partition's stream is.
type MessageKind uint8

// The kinds of message. Everything that rules depend on is one of them, so that a replay of the
// stream gives the same alarms.
const (
	KindFrame     MessageKind = iota + 1 // samples of a position
	KindHeartbeat                        // a gateway is alive, each second
	KindTick                             // the hub's second, by the owner of the partition
	KindCommand                          // what a person decided
)

// FrameID identifies a frame of a gateway for ever: Epoch is random and made with the edge store,
// Sequence counts from 1 without gaps within it.
type FrameID struct {
	Gateway  string `json:"gateway"`
	Epoch    string `json:"epoch"`
	Sequence uint64 `json:"sequence"`
}

// Message is one message of a partition's stream.
type Message struct {
	Place    Place
	StoredAt time.Time // when the hub stored it; never decreasing within a stream
	Kind     MessageKind
	Site     string  // of frames and heartbeats
	Position string  // of frames
	ID       FrameID // of frames: its identity; of heartbeats: the last frame that the gateway stored
	Profile  string  // of frames: name@version of the device profile that decoded it
	Dropped  uint64  // of frames and heartbeats: how many frames directly before it the edge dropped by its declared limits
	Possibly bool    // of frames: may be a duplicate of an earlier one (redelivered by the equipment's side)
	State    []byte  // of heartbeats: GatewayState as JSON, as of when it was forwarded; empty where none was
	Payload  []byte  // a frame's line protocol, a heartbeat's, tick's or command's JSON
}

// Heartbeat is the payload of KindHeartbeat.
type Heartbeat struct {
	Site    string    `json:"site"`
	Gateway string    `json:"gateway"`
	At      time.Time `json:"at"` // the gateway's corrected clock
	Version string    `json:"version,omitempty"`
}

// Verbs of commands.
const (
	VerbAcknowledge = "acknowledge" // Position, Rule
	VerbTestAlarm   = "test_alarm"  // Position: makes a marked ticket that KPIs leave out
	VerbServiced    = "serviced"    // Position, Plan: the job was done, the meter's reading is the new zero

	VerbShelve       = "shelve"         // Position, Rule, Reason, Until (at most LongestShelf away): no tickets from it till then
	VerbUnshelve     = "unshelve"       // Position, Rule
	VerbOutOfService = "out_of_service" // Position, Rule (empty: all of them), Reason, Until (at most LongestOutOfService away)
	VerbReturn       = "return"         // Position, Rule (empty: all of them): back in service
	VerbReset        = "reset"          // Position, Rule: ends the latch of an alarm that returned to normal

	VerbRules = "rules" // Versions: these rules are in force from here on, in the whole partition; by the owner of the partition
	VerbPeers = "peers" // Peers: how the assets that a rule compares at Site did; by the owner of the partition
)

// Command is what a person decided about alarms, put into the stream so that a replay repeats it.
// Only rules carries commands out.
type Command struct {
	ID       string    `json:"id"`
	Verb     string    `json:"verb"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Site     string    `json:"site"`
	Position string    `json:"position,omitempty"`
	Rule     string    `json:"rule,omitempty"`
	Plan     string    `json:"plan,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Until    time.Time `json:"until,omitzero"` // of shelve and out_of_service

	Versions map[string]int `json:"versions,omitempty"` // of rules: every rule that is in force, with the version of its document

	Peers *PeerWindow `json:"peers,omitempty"`
}

// PeerWindow is how assets of a kind at a site did in a window of time that is over, as a rule compares them.
type PeerWindow struct {
	Rule   string        `json:"rule"` // its name on the positions
	Kind   string        `json:"kind"` // of the assets
	Within time.Duration `json:"within_ns"`
	Window int64         `json:"window"` // its number: time since 1970 / Within
	Means  []PeerMean    `json:"means"`  // by position; of those that had enough usable samples
}

// PeerMean is what one of the assets had in the window, on average.
type PeerMean struct {
	Position string  `json:"position"`
	Value    float64 `json:"value"`          // in the unit of the rule's point
	Load     float64 `json:"load,omitempty"` // in the unit of its load
}

// CommandResult is the answer of rules to a command.
type CommandResult struct {
	ID      string `json:"id"`
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"` // what was done, or why not and what to do
}

// Event tells the outside that something changed; it carries no data beyond what to look at again.
// Events are not stored: they wake up pages, they prove nothing.
type Event struct {
	Topic    string    `json:"topic"` // "alarm", "ticket", "inspection"
	ID       string    `json:"id"`
	Site     string    `json:"site"`
	Position string    `json:"position,omitempty"`
	At       time.Time `json:"at"`
	Text     string    `json:"text"`
}
