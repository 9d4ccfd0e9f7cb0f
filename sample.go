package faultline

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Quality says how far a sample can be trusted: "good", "uncertain:<reason>" or "bad:<reason>".
// A bad reading is recorded as bad; it is never recorded as 0.
type Quality string

// Good and the reasons that drivers give. A reason is a short lower-case token; a driver may add
// reasons of its own, such as "bad:exception:server_device_busy".
const (
	Good Quality = "good"

	UncertainClock       Quality = "uncertain:clock"        // the gateway's clock was unset or jumped
	UncertainOutOfRange  Quality = "uncertain:out_of_range" // outside the profile's plausible range
	UncertainSubstituted Quality = "uncertain:substituted"

	BadTimeout        Quality = "bad:timeout"
	BadNotConnected   Quality = "bad:not_connected"
	BadIllegalAddress Quality = "bad:illegal_address" // Modbus exception 02
	BadOutOfRange     Quality = "bad:out_of_range"    // the profile's range is a physical one
	BadNotAvailable   Quality = "bad:not_available"   // the device sent its "no value" sentinel
	BadDeviceFault    Quality = "bad:device_fault"
	BadOverflow       Quality = "bad:overflow" // an unsigned counter above 2^63-1
	BadDecode         Quality = "bad:decode"   // the payload could not be understood
	BadMissing        Quality = "bad:missing"  // the payload did not hold the point
	BadStale          Quality = "bad:stale"
)

// IsGood, IsUncertain and IsBad tell the level. The empty quality is bad: nobody vouched for it.
func (q Quality) IsGood() bool { return q == Good }

// IsUncertain tells whether the sample has a value that is not fully trusted.
func (q Quality) IsUncertain() bool { return strings.HasPrefix(string(q), "uncertain") }

// IsBad tells whether the sample has no value.
func (q Quality) IsBad() bool { return !q.IsGood() && !q.IsUncertain() }

// Usable tells whether the sample's value may be used for judging: good or uncertain.
func (q Quality) Usable() bool { return !q.IsBad() }

// Reason is the part after the level, or "" for good.
func (q Quality) Reason() string {
	_, r, _ := strings.Cut(string(q), ":")
	return r
}

// Check says whether q is well-formed.
func (q Quality) Check() error {
	level, reason, has := strings.Cut(string(q), ":")
	switch {
	case q == Good:
		return nil
	case (level == "bad" || level == "uncertain") && has && reason != "" && len(q) <= 128 && strings.IndexFunc(reason, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != ':'
	}) < 0:
		return nil
	}
	return fmt.Errorf("%w: quality %q: use good, uncertain:<reason> or bad:<reason>", ErrInvalid, string(q))
}

// Sample is one point's value with its quality. Its time is its frame's.
type Sample struct {
	Point   string
	Value   Value // none if Quality is bad
	Quality Quality
}

// Frame is the samples of one position at one reading (or of one MQTT message).
type Frame struct {
	Kind     string // asset kind; the measurement in InfluxDB
	Site     string
	Position string
	Gateway  string
	Time     time.Time // final at the edge: the hub never changes it
	Samples  []Sample
}

// Check says what is wrong with a frame before it is encoded.
func (f *Frame) Check() error {
	for _, n := range [...]struct{ what, s string }{{"asset kind", f.Kind}, {"site", f.Site}, {"position", f.Position}, {"gateway", f.Gateway}} {
		if err := CheckName(n.what, n.s); err != nil {
			return err
		}
	}
	if f.Time.IsZero() {
		return fmt.Errorf("%w: frame of %s/%s has no time", ErrInvalid, f.Site, f.Position)
	}
	if len(f.Samples) == 0 {
		return fmt.Errorf("%w: frame of %s/%s has no samples", ErrInvalid, f.Site, f.Position)
	}
	for _, s := range f.Samples {
		if err := CheckPoint(s.Point); err != nil {
			return err
		}
		if err := s.Quality.Check(); err != nil {
			return err
		}
		if s.Quality.IsBad() != (s.Value.Type() == NoType) {
			return fmt.Errorf("%w: %s/%s %s: a %s sample with value %v: bad samples have none, all others have one", ErrInvalid, f.Site, f.Position, s.Point, s.Quality, s.Value)
		}
	}
	return nil
}

// MarshalJSON writes {"point","value","quality"}, the value as JSON number, bool, string or null.
func (s Sample) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Point   string  `json:"point"`
		Value   any     `json:"value"`
		Quality Quality `json:"quality"`
	}{s.Point, s.Value.Any(), s.Quality})
}
