package faultline

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Remaining is a time that is left, in hours; +Inf: it may never run out. In JSON it is a number of hours
// or the word "never".
type Remaining float64

// Never is the time that does not run out.
var Never = Remaining(math.Inf(1))

const neverText = "never"

// String is for people: to a minute, an hour or a day.
func (r Remaining) String() string {
	switch h := float64(r); {
	case math.IsInf(h, 1):
		return "never"
	case h < 2:
		return strconv.Itoa(int(math.Round(h*60))) + " min"
	case h < 48:
		return strconv.Itoa(int(math.Round(h))) + " h"
	case h < 24*1000:
		return strconv.Itoa(int(math.Round(h/24))) + " days"
	}
	return "more than 1000 days"
}

// MarshalJSON writes hours, or "never".
func (r Remaining) MarshalJSON() ([]byte, error) {
	switch v := float64(r); {
	case math.IsInf(v, 1):
		return json.Marshal(neverText)
	case math.IsNaN(v) || v < 0:
		return nil, fmt.Errorf("%w: %v is no time that is left", ErrInvalid, v)
	default:
		return strconv.AppendFloat(nil, v, 'g', -1, 64), nil
	}
}

// UnmarshalJSON reads hours, or "never".
func (r *Remaining) UnmarshalJSON(b []byte) error {
	if string(b) == `"`+neverText+`"` {
		*r = Never
		return nil
	}
	var v float64
	if err := json.Unmarshal(b, &v); err != nil || v < 0 {
		return fmt.Errorf("%w: %s is no time that is left: use hours, or \"never\"", ErrInvalid, b)
	}
	*r = Remaining(v)
	return nil
}

// Forecast is what is said at a moment of the time until a point reaches its limit; or, with None, why
// nothing is said.
type Forecast struct {
	Site     string    `json:"site"`
	Position string    `json:"position"`
	Rule     string    `json:"rule"`
	Point    string    `json:"point"`
	Unit     string    `json:"unit,omitempty"`
	At       time.Time `json:"at"`             // event time
	None     string    `json:"none,omitempty"` // why there is no forecast; empty: there is one

	// The limit is reached after P10 with a likelihood of one in ten, after P50 as likely as not, and
	// after P90 with nine in ten.
	P10   Remaining `json:"p10"`
	P50   Remaining `json:"p50"`
	P90   Remaining `json:"p90"`
	Model string    `json:"model,omitempty"` // linear, exponential, or the name of a trained one
	Basis string    `json:"basis,omitempty"` // what it rests on, in words

	Level float64   `json:"level"`          // where the point stands, without its noise
	Start float64   `json:"start"`          // and where it stood before it degraded
	Limit float64   `json:"limit"`          // which it moves towards
	Onset time.Time `json:"onset,omitzero"` // from when it has degraded
}

// Exponential is the model of a degradation that grows in proportion to itself; others go on in a line.
const Exponential = "exponential"

// Path is where the point is to be after so many hours if it reaches its limit after left.
func (f *Forecast) Path(left Remaining, hours float64) float64 {
	share := min(hours/float64(left), 1) // 0 if it never does
	if !(share >= 0) {
		share = 1
	}
	now, limit := f.Level-f.Start, f.Limit-f.Start
	if f.Model == Exponential && now/limit > 0 {
		return f.Start + now*math.Pow(limit/now, share)
	}
	return f.Level + (f.Limit-f.Level)*share
}
