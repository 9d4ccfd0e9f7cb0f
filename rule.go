package faultline

import "time"

// Severity of a verdict. It sets a ticket's urgency unless the rule says otherwise.
type Severity int

// The severities: advisory has no effect yet, warning degrades, critical stops production or may.
const (
	SeverityNone Severity = iota
	SeverityAdvisory
	SeverityWarning
	SeverityCritical
)

var severityNames = [...]string{"none", "advisory", "warning", "critical"}

func (s Severity) String() string {
	if s >= 0 && int(s) < len(severityNames) {
		return severityNames[s]
	}
	return "none"
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the severity's name.
func (s *Severity) UnmarshalText(b []byte) error {
	for i, n := range severityNames {
		if n == string(b) {
			*s = Severity(i)
			return nil
		}
	}
	return &enumError{"severity", string(b), "advisory, warning or critical"}
}

type enumError struct{ what, got, want string }

func (e *enumError) Error() string { return e.what + " \"" + e.got + "\": use " + e.want }
func (e *enumError) Unwrap() error { return ErrInvalid }

// Limit is a line to draw on the picture of a point.
type Limit struct {
	Name     string   `json:"name"` // "low-low", "low", "high", "high-high"
	Value    float64  `json:"value"`
	Severity Severity `json:"severity"`
}

// RuleInstance is one rule on one position, as people see it: what is watched and where the limits are.
type RuleInstance struct {
	Site        string        `json:"site"`
	Position    string        `json:"position"`
	Rule        string        `json:"rule"`
	Version     int           `json:"version"`
	Title       string        `json:"title"`
	Kind        string        `json:"kind"`
	Point       string        `json:"point,omitempty"`
	Unit        string        `json:"unit,omitempty"`
	FailureMode string        `json:"failure_mode"`
	Family      string        `json:"family"`
	Limits      []Limit       `json:"limits,omitempty"`
	OnDelay     time.Duration `json:"on_delay"`
	OffDelay    time.Duration `json:"off_delay"`
	DeadBand    float64       `json:"dead_band,omitempty"`
	Plan        string        `json:"plan,omitempty"`
	Check       []string      `json:"check,omitempty"`   // what to check, in order
	Suggest     string        `json:"suggest,omitempty"` // "remote" or "on_site"
}
