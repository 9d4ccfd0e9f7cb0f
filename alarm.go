package faultline

import (
	"strings"
	"time"
)

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
	ShelvedBy    string    `json:"shelved_by,omitempty"`
	ShelvedWhy   string    `json:"shelved_why,omitempty"`
	SuppressedBy string    `json:"suppressed_by,omitempty"`  // what is down: "gateway gw-1" or "P-100"
	OutOfService string    `json:"out_of_service,omitempty"` // who took it out of service, and why
	// OutOfServiceUntil is when it ends by itself.
	OutOfServiceUntil time.Time `json:"out_of_service_until,omitzero"`

	Severity  Severity  `json:"severity"`
	Why       string    `json:"why"`                 // one sentence with numbers and units
	RaisedAt  time.Time `json:"raised_at,omitzero"`  // event time of the last activation: the end of the rule's on-delay
	BeganAt   time.Time `json:"began_at,omitzero"`   // event time at which its condition began to hold
	StoredAt  time.Time `json:"stored_at,omitzero"`  // when the hub knew
	ClearedAt time.Time `json:"cleared_at,omitzero"` // event time of the last return to normal
	AckedAt   time.Time `json:"acked_at,omitzero"`
	AckedBy   string    `json:"acked_by,omitempty"`
	Count     int       `json:"count"` // activations so far
	Ticket    string    `json:"ticket,omitempty"`
	MadeUp    bool      `json:"made_up,omitempty"` // demonstration history
}

// Limits of what a person may ask for.
const (
	LongestShelf        = 24 * time.Hour
	LongestOutOfService = 31 * 24 * time.Hour
)

// AlarmID joins the parts of an alarm's identity.
func AlarmID(site, position, rule string) string { return site + "/" + position + "/" + rule }

// SplitAlarmID is the inverse of AlarmID.
func SplitAlarmID(id string) (site, position, rule string, ok bool) {
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// State derives the alarm's state at now.
func (a *Alarm) State(now time.Time) AlarmState {
	switch {
	case a.OutOfService != "":
		return AlarmOutOfService
	case a.SuppressedBy != "":
		return AlarmSuppressed
	case now.Before(a.ShelvedUntil):
		return AlarmShelved
	case (a.Active || a.Latched) && !a.Acked:
		return AlarmUnacked
	case a.Active || a.Latched: // latched: it returned to normal, and waits for a person's reset
		return AlarmAcked
	case a.Count > 0 && !a.Acked:
		return AlarmReturned
	}
	return AlarmNormal
}

// Muted tells whether the alarm is kept from people: it is shelved, suppressed or out of service. Its
// condition goes on being judged, and its history written.
func (a *Alarm) Muted() bool {
	return a.OutOfService != "" || a.SuppressedBy != "" || !a.ShelvedUntil.IsZero()
}

// Transitions of an alarm, as its history records them.
const (
	TransitionRaised       = "raised"
	TransitionCleared      = "cleared"
	TransitionAcknowledged = "acknowledged"
	TransitionRose         = "severity_rose"
	TransitionChattering   = "chattering"
	TransitionSettled      = "settled"      // chattering ended
	TransitionChangePoint  = "change_point" // signals went over to another level; changes nothing of the alarm
	TransitionSuppressed   = "suppressed"
	TransitionReleased     = "released"
	TransitionShelved      = "shelved"
	TransitionUnshelved    = "unshelved"
	TransitionOutOfService = "out_of_service"
	TransitionReturned     = "returned" // to service
	TransitionReset        = "reset"    // of a latched alarm
	// TransitionReported tells people of an alarm that was kept from them, or that waited for the end of a backlog.
	TransitionReported = "reported"
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
