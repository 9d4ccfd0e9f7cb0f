package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Limits of an atomic batch: the server's for messages, ours for bytes.
const (
	maxBatchMessages = 1000
	maxBatchBytes    = 4 << 20
)

// fewRecords are stored one after the other rather than as an atomic batch, for which the server makes a store of its
// own and removes it again: some 230 system calls, four of them syncs to disk, where a record alone takes about
// twelve and one sync.
const fewRecords = 4

// record is one message on its way into a stream.
type record struct {
	subject string
	header  []string // names and values in turn
	data    []byte
	seq     uint64 // of a frame: its sequence; 0 for others
}

func (r *record) size() int {
	n := len(r.subject) + len(r.data) + 128 // what the batch's and the claim's headers add, about
	for _, h := range r.header {
		n += len(h) + 4
	}
	return n
}

func (r *record) message(extra ...string) *nats.Msg {
	h := make(nats.Header, (len(r.header)+len(extra))/2)
	for _, kv := range [...][]string{r.header, extra} {
		for i := 0; i+1 < len(kv); i += 2 {
			h[kv[i]] = []string{kv[i+1]}
		}
	}
	return &nats.Msg{Subject: r.subject, Header: h, Data: r.data}
}

// fence is the condition that a claim is still the newest on its subject.
func fence(subject string, claim uint64) []string {
	return []string{jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(claim, 10), jetstream.ExpectedLastSubjSeqSubjHeader, subject}
}

// ack is the server's answer to a stored message or batch.
type ack struct {
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	Count     int                 `json:"count"`
	Error     *jetstream.APIError `json:"error"`
}

// one stores one message and waits until it is on disk.
func (c *Conn) one(ctx context.Context, m *nats.Msg) (ack, error) {
	r, err := c.request(ctx, m)
	if err != nil {
		return ack{}, fmt.Errorf("store on %s: %w", m.Subject, err)
	}
	var a ack
	if err := json.Unmarshal(r.Data, &a); err != nil {
		return ack{}, fmt.Errorf("store on %s: answer %.60q: %w", m.Subject, r.Data, err)
	}
	if a.Error != nil && classify(a.Error) == faultFull {
		return ack{}, fmt.Errorf("store on %s: %w: %w", m.Subject, ErrFull, a.Error)
	}
	if a.Error != nil {
		return ack{}, fmt.Errorf("store on %s: %w", m.Subject, a.Error)
	}
	if a.Stream == "" || a.Sequence == 0 {
		return ack{}, fmt.Errorf("store on %s: answer %.60q names no stream and sequence", m.Subject, r.Data)
	}
	return a, nil
}

// batch stores 1 to maxBatchMessages records, all or none, with one sync to disk. id is unique among the batches that
// are open in the stream; condition goes with the first message. A repeated message id rejects the
// whole batch; its records are then stored one by one, in order, each with the condition.
func (c *Conn) batch(ctx context.Context, id string, recs []record, condition []string) (ack, error) {
	if len(recs) == 1 {
		return c.one(ctx, recs[0].message(condition...))
	}
	last := len(recs) - 1
	for i := range recs[:last] {
		extra := []string{headerBatchID, id, headerBatchSeq, strconv.Itoa(i + 1)}
		if i == 0 {
			extra = append(extra, condition...)
		}
		if err := c.nc.PublishMsg(recs[i].message(extra...)); err != nil {
			return ack{}, fmt.Errorf("store batch on %s: %w", recs[i].subject, err)
		}
	}
	a, err := c.one(ctx, recs[last].message(headerBatchID, id, headerBatchSeq, strconv.Itoa(last+1), headerBatchCommit, "1"))
	if err == nil && a.Count != len(recs) {
		return a, fmt.Errorf("store batch on %s: %d of %d messages", recs[last].subject, a.Count, len(recs))
	}
	if code(err) != codeDuplicate {
		return a, err
	}
	c.m.onebyone.Inc()
	return c.inTurn(ctx, recs, condition)
}

// inTurn stores records one by one, in order, each with the condition and a sync of its own. After an error those
// before it are stored; the one at fault may be, those after it are not.
func (c *Conn) inTurn(ctx context.Context, recs []record, condition []string) (a ack, err error) {
	for i := range recs {
		if a, err = c.one(ctx, recs[i].message(condition...)); err != nil {
			return a, err
		}
	}
	return a, nil
}
