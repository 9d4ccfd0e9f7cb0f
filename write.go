package faultline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Writable says how far a point may be written: what its profile documents, narrowed by what the
// configuration of its gateway allows. A number has Min and Max, or Values, or both.
type Writable struct {
	Min      *float64  `json:"min,omitempty"`
	Max      *float64  `json:"max,omitempty"`
	Step     float64   `json:"step,omitempty"` // values are Min + n × Step; 0: any
	Values   []float64 `json:"values,omitempty"`
	FourEyes bool      `json:"four_eyes,omitempty"` // a second person must approve
}

// stepTolerance is how far a value may lie from a step, as a share of it: 0.3 is 3 × 0.1 only nearly.
const stepTolerance = 1e-6

// Check says why a value of the point's type may not be written.
func (w *Writable) Check(t Type, v Value) error {
	if v.Type() != t {
		return fmt.Errorf("%w: a %s is wanted, not a %s", ErrInvalid, t, v.Type())
	}
	n, number := v.Number()
	switch {
	case t == TypeBool:
		return nil
	case !number:
		return fmt.Errorf("%w: a %s cannot be written", ErrInvalid, t)
	case len(w.Values) > 0 && !slices.Contains(w.Values, n):
		return fmt.Errorf("%w: %v is not among the values that may be written: %s", ErrInvalid, v, w)
	case len(w.Values) == 0 && (w.Min == nil || w.Max == nil):
		return fmt.Errorf("%w: nothing says how far the point may be written", ErrRefused)
	case w.Min != nil && n < *w.Min, w.Max != nil && n > *w.Max:
		return fmt.Errorf("%w: %v is outside what may be written: %s", ErrInvalid, v, w)
	}
	if w.Step > 0 {
		low := 0.0
		if w.Min != nil {
			low = *w.Min
		}
		if off := math.Abs(math.Remainder(n-low, w.Step)); off > stepTolerance*w.Step {
			return fmt.Errorf("%w: %v lies between the steps: %s", ErrInvalid, v, w)
		}
	}
	return nil
}

// String tells people what may be written.
func (w Writable) String() string {
	show := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	var parts []string
	if len(w.Values) > 0 {
		all := make([]string, len(w.Values))
		for i, v := range w.Values {
			all[i] = show(v)
		}
		parts = append(parts, strings.Join(all, ", "))
	}
	if w.Min != nil && w.Max != nil {
		parts = append(parts, show(*w.Min)+" to "+show(*w.Max))
	}
	if w.Step > 0 {
		parts = append(parts, "in steps of "+show(w.Step))
	}
	return strings.Join(parts, ", ")
}

// ParseValue reads a value of a type from JSON. What is of another type is refused, not turned into it.
func ParseValue(t Type, data []byte) (Value, error) {
	refuse := func() (Value, error) {
		return Value{}, fmt.Errorf("%w: value %.100q: a %s is wanted", ErrInvalid, data, t)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || len(bytes.TrimSpace(data)) > 100 || d.More() {
		return refuse()
	}
	switch v := v.(type) {
	case bool:
		if t == TypeBool {
			return Bool(v), nil
		}
	case json.Number:
		if t == TypeInt {
			if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
				return Int(n), nil
			}
		} else if t == TypeFloat {
			if f, err := v.Float64(); err == nil && Float(f).Type() == TypeFloat {
				return Float(f), nil
			}
		}
	}
	return refuse()
}

// WriteStatus is where a write of a point stands.
type WriteStatus string

// The statuses. From WriteWritten on a write is at its end.
const (
	WritePending   WriteStatus = "pending"   // waits for a second person
	WriteSending   WriteStatus = "sending"   // on its way to the gateway; nothing is known yet
	WriteWritten   WriteStatus = "written"   // read back as asked for
	WriteDiffers   WriteStatus = "differs"   // the device took it, but reads back as something else
	WriteFailed    WriteStatus = "failed"    // certainly not written
	WriteUnknown   WriteStatus = "unknown"   // nobody knows whether it was written: look at the equipment
	WriteRefused   WriteStatus = "refused"   // by the second person
	WriteWithdrawn WriteStatus = "withdrawn" // by who asked for it
	WriteExpired   WriteStatus = "expired"   // nobody approved it in time
)

// WriteStatuses are all of them, those that are not at their end first.
var WriteStatuses = []WriteStatus{WritePending, WriteSending, WriteWritten, WriteDiffers, WriteFailed, WriteUnknown, WriteRefused, WriteWithdrawn, WriteExpired}

// Ended tells whether nothing more can become of it.
func (s WriteStatus) Ended() bool { return s != WritePending && s != WriteSending }

// ApprovalTime is how long a write waits for a second person.
const ApprovalTime = 30 * time.Minute

// Write is one write of a point: who wanted what, who approved it, and what became of it.
type Write struct {
	ID       string          `json:"id"`
	Site     string          `json:"site"`
	Position string          `json:"position"`
	Point    string          `json:"point"`
	Gateway  string          `json:"gateway"`
	Value    json.RawMessage `json:"value" about:"number or bool, as asked for"`
	Unit     string          `json:"unit,omitempty"`
	Reason   string          `json:"reason"`
	Status   WriteStatus     `json:"status"`
	FourEyes bool            `json:"four_eyes,omitempty"`

	AskedBy   string    `json:"asked_by"`
	AskedAt   time.Time `json:"asked_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // of one that waits for a second person
	DecidedBy string    `json:"decided_by,omitempty"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	SentAt    time.Time `json:"sent_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`

	Old      json.RawMessage `json:"old,omitempty" about:"what it read as before"`
	ReadBack json.RawMessage `json:"read_back,omitempty" about:"what it read as afterwards"`
	Message  string          `json:"message,omitempty"` // what became of it, for people
}

// WriteEvent is one step of a write's history.
type WriteEvent struct {
	Write  string      `json:"write"`
	At     time.Time   `json:"at"`
	By     string      `json:"by"`
	Status WriteStatus `json:"status"`
	Text   string      `json:"text,omitempty"`
}

// Decide moves a pending write as a second person (or, to withdraw it, who asked) wants it. Who asked
// cannot approve. At its end of waiting it has expired, whatever is wanted.
func (w *Write) Decide(to WriteStatus, by string, now time.Time) error {
	switch {
	case w.Status != WritePending:
		return fmt.Errorf("%w: the write is %s", ErrConflict, w.Status)
	case w.Expire(now):
		return fmt.Errorf("%w: nobody approved it until %s: ask for it again", ErrRefused, w.ExpiresAt.Format(time.RFC3339))
	case to == WriteSending && by == w.AskedBy:
		return fmt.Errorf("%w: %s asked for it: a second person must approve", ErrRefused, by)
	case to == WriteWithdrawn && by != w.AskedBy:
		return fmt.Errorf("%w: %s asked for it, and alone can withdraw it; refuse it instead", ErrRefused, w.AskedBy)
	case to != WriteSending && to != WriteWithdrawn && to != WriteRefused:
		return fmt.Errorf("%w: a write cannot be made %q", ErrInvalid, to)
	}
	w.Status, w.DecidedBy, w.DecidedAt = to, by, now
	if to == WriteSending {
		w.SentAt = now
	} else {
		w.EndedAt = now
	}
	return nil
}

// Expire ends a write that waited too long for a second person, and tells whether it did.
func (w *Write) Expire(now time.Time) bool {
	if w.Status != WritePending || now.Before(w.ExpiresAt) {
		return false
	}
	w.Status, w.EndedAt, w.Message = WriteExpired, now, "nobody approved it in time"
	return true
}

// WriteOrder asks a gateway to write. It goes in two steps, so that nothing is written late however
// long a message was on its way: the gateway answers the first one (Commit empty) with a word that is
// good for a few seconds of its own clock, and writes when the second one brings it back. Each word is
// good once.
type WriteOrder struct {
	ID       string          `json:"id"` // of the write
	Position string          `json:"position"`
	Point    string          `json:"point"`
	Value    json.RawMessage `json:"value"`
	By       string          `json:"by"`
	Approved string          `json:"approved,omitempty"` // who approved it
	Deadline time.Time       `json:"deadline"`           // by the hub's clock, which keeps it: no second step afterwards
	Commit   string          `json:"commit,omitempty"`
}

// WriteAnswer is what a gateway answers to an order.
type WriteAnswer struct {
	ID       string          `json:"id"`
	Ready    string          `json:"ready,omitempty"` // the word, of the first step
	Status   WriteStatus     `json:"status,omitempty"`
	Old      json.RawMessage `json:"old,omitempty"`
	ReadBack json.RawMessage `json:"read_back,omitempty"`
	Message  string          `json:"message,omitempty"`
}
