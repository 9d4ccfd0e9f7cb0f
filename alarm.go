package faultline

import "time"

// AlarmState is one of the seven states of ISA-18.2 / IEC 62682.
type AlarmState string

// The seven states.
const (
	AlarmNormal       AlarmState = "NORM"
	AlarmUnacked      AlarmState = "UNACK"
	AlarmAcked        AlarmState = "ACKED"
	AlarmReturned     AlarmState = "RTNUN" // returned to normal, unacknowledged
	AlarmShelved      AlarmState = "SHLVD"
	AlarmSuppressed   AlarmState = "DSUPR"
	AlarmOutOfService AlarmState = "OOSRV"
)

// Alarm is the life of one rule at one position. It is stored as facts from which the state derives.
type Alarm struct {
	ID          string `json:"id"` // site/position/rule
	Site        string `json:"site"`
	Position    string `json:"position"`
	Rule        string `json:"rule"`
	RuleVersion int    `json:"rule_version"`
	Title       string `json:"title"`

	Active       bool      `json:"active"`
	Acked        bool      `json:"acked"` // meaningful once it was active
	Latched      bool      `json:"latched,omitempty"`
	Chattering   bool      `json:"chattering,omitempty"`
	ShelvedUntil time.Time `json:"shelved_until,omitzero"`
	SuppressedBy string    `json:"suppressed_by,omitempty"`
	OutOfService string    `json:"out_of_service,omitempty"`

	Severity  Severity  `json:"severity"`
	Why       string    `json:"why"`                 // one sentence with numbers and units
	RaisedAt  time.Time `json:"raised_at,omitzero"`  // event time of the last activation
	StoredAt  time.Time `json:"stored_at,omitzero"`  // when the hub knew
	ClearedAt time.Time `json:"cleared_at,omitzero"` // event time of the last return to normal
	AckedAt   time.Time `json:"acked_at,omitzero"`
	AckedBy   string    `json:"acked_by,omitempty"`
	Count     int       `json:"count"` // activations so far
	Ticket    string    `json:"ticket,omitempty"`
	MadeUp    bool      `json:"made_up,omitempty"` // demonstration history
}

// AlarmID joins the parts of an alarm's identity.
func AlarmID(site, position, rule string) string { return site + "/" + position + "/" + rule }

// State derives the alarm's state at now.
func (a *Alarm) State(now time.Time) AlarmState {
	switch {
	case a.OutOfService != "":
		return AlarmOutOfService
	case a.SuppressedBy != "":
		return AlarmSuppressed
	case now.Before(a.ShelvedUntil):
		return AlarmShelved
	case a.Active && !a.Acked:
		return AlarmUnacked
	case a.Active || a.Latched:
		return AlarmAcked
	case a.Count > 0 && !a.Acked:
		return AlarmReturned
	}
	return AlarmNormal
}

// Transitions of an alarm, as its history records them.
const (
	TransitionRaised       = "raised"
	TransitionCleared      = "cleared"
	TransitionAcknowledged = "acknowledged"
	TransitionRose         = "severity_rose"
	TransitionChattering   = "chattering"
	TransitionSettled      = "settled" // chattering ended
	TransitionSuppressed   = "suppressed"
	TransitionReleased     = "released"
)

// AlarmEvent is one transition. (Alarm, At, Transition) is unique: replaying it is a no-op.
type AlarmEvent struct {
	Alarm      string    `json:"alarm"`
	At         time.Time `json:"at"`
	StoredAt   time.Time `json:"stored_at"`
	Transition string    `json:"transition"`
	Severity   Severity  `json:"severity"`
	Why        string    `json:"why,omitempty"`
	By         string    `json:"by,omitempty"`
}
