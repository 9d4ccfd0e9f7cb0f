package api

import (
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// Page is a part of a list. Total counts the whole list.
type Page[T any] struct {
	Items  []T `json:"items"`
	Total  int `json:"total"`
	Limit  int `json:"limit,omitempty"`
	Offset int `json:"offset,omitempty"`
}

// whole is a list that is not cut into pages.
func whole[T any](items []T) Page[T] { return cut(items, len(items), 0, 0) }

func cut[T any](items []T, total, limit, offset int) Page[T] {
	if items == nil {
		items = []T{} // a list is never null
	}
	return Page[T]{items, total, limit, offset}
}

// AssetState is the worst of an asset's active alarms; no_data where none of its points has a usable
// value of late, though bad ones may come.
type AssetState string

// The states of an asset, worst first.
const (
	AssetCritical AssetState = "critical"
	AssetWarning  AssetState = "warning"
	AssetAdvisory AssetState = "advisory"
	AssetNoData   AssetState = "no_data"
	AssetNormal   AssetState = "normal"
)

var (
	assetStates = []string{"critical", "warning", "advisory", "no_data", "normal"}
	ticketKinds = []string{"fault", "inspection", "manual", "improvement"}
	statuses    = []string{"new", "triaged", "scheduled", "in_progress", "waiting_customer", "waiting_parts", "resolved", "closed", "cancelled"}
	rangeNames  = []string{"1h", "24h", "7d", "30d", "1y"}
)

var ranges = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour, "1y": 365 * 24 * time.Hour}

// Asset is a position with the asset standing there, as it stands now.
type Asset struct {
	faultline.Position
	SiteName string     `json:"site_name,omitempty"`
	State    AssetState `json:"state"`
	NoData   bool       `json:"no_data" about:"none of its points has a usable value of late; its state may be worse than that by its alarms"`
	Condition
	Coverage    faultline.Coverage `json:"coverage"`
	LastDataAt  time.Time          `json:"last_data_at,omitzero" about:"of the newest usable sample"`
	OpenAlarms  int                `json:"open_alarms"`
	OpenTickets int                `json:"open_tickets"`
}

// Point is a point with its newest reading.
type Point struct {
	faultline.Point
	Value   any               `json:"value" about:"null if the reading is bad or there is none"`
	Text    string            `json:"text,omitempty" about:"the value's name, of enumerations and words"`
	Quality faultline.Quality `json:"quality,omitempty" about:"good, uncertain:<reason> or bad:<reason>; left out if nothing was read yet"`
	At      time.Time         `json:"at,omitzero"`
	Age     float64           `json:"age_s" about:"seconds since then"`
	Good    *GoodReading      `json:"last_good,omitempty"`

	shown string // the value with its unit, for people
}

// GoodReading is the newest reading that had a value.
type GoodReading struct {
	Value any       `json:"value"`
	At    time.Time `json:"at"`

	shown string
}

// History is the values of points over time.
type History struct {
	Site     string         `json:"site"`
	Position string         `json:"position"`
	From     time.Time      `json:"from"`
	To       time.Time      `json:"to"`
	MadeUp   time.Time      `json:"made_up_until,omitzero" about:"values up to then are made-up history; left out if none of these are"`
	Points   []PointHistory `json:"points"`
}

// PointHistory is columns of equal length. A null value is a gap; its quality says why.
type PointHistory struct {
	Point   string              `json:"point"`
	Unit    string              `json:"unit,omitempty"`
	Step    float64             `json:"step_s" about:"seconds between down-sampled values; 0 if these are all values"`
	Tier    string              `json:"tier" about:"the coarsest that was read: raw (the readings), m1 (values of one minute) or h1 (of one hour)"`
	At      []time.Time         `json:"at"`
	Value   []*float64          `json:"value"`
	Min     []*float64          `json:"min,omitempty" about:"of the step; left out if step_s is 0"`
	Max     []*float64          `json:"max,omitempty"`
	Quality []faultline.Quality `json:"quality"`
}

// Alarm is an alarm with the state that its facts make now.
type Alarm struct {
	faultline.Alarm
	State faultline.AlarmState `json:"state"`
}

// Ticket is a ticket with its clocks and what may be done with it.
type Ticket struct {
	faultline.Ticket
	Clocks faultline.Clocks   `json:"clocks"`
	Moves  []faultline.Status `json:"moves" about:"where it may go"`
	Notes  []string           `json:"notes,omitempty" about:"what else was done, or is still to come"`
}

func viewTicket(t faultline.Ticket, terms faultline.ServiceTerms, now time.Time) Ticket {
	v := Ticket{Ticket: t, Moves: t.Moves()}
	if v.Moves == nil {
		v.Moves = []faultline.Status{}
	}
	v.Clocks = t.Clocks(terms, now)
	return v
}

// Inspection is an occurrence of a plan; overdue does not vanish when it is done late.
type Inspection struct {
	faultline.Inspection
	Overdue bool `json:"overdue"`
}

func viewInspection(i faultline.Inspection, now time.Time) Inspection {
	end := now
	if !i.DoneAt.IsZero() {
		end = i.DoneAt
	}
	return Inspection{i, i.Status != faultline.InspectionSkipped && !i.Until.IsZero() && end.After(i.Until)}
}

// Gateway is a gateway; silent if nothing was heard of it for two minutes.
type Gateway struct {
	faultline.Gateway
	Silent bool `json:"silent"`
}

// Ledger accounts for all frames.
type Ledger struct {
	Total LedgerTotal           `json:"total"`
	Rows  []faultline.LedgerRow `json:"rows"`
}

// LedgerTotal sums the rows up.
type LedgerTotal struct {
	Frames    uint64 `json:"frames"`
	Delivered uint64 `json:"delivered"`
	Late      uint64 `json:"late"`
	Duplicate uint64 `json:"duplicate"`
	Possibly  uint64 `json:"possibly_duplicate"`
	Missing   uint64 `json:"missing"`
	Dropped   uint64 `json:"dropped"`
	Expired   uint64 `json:"expired"`
	Dead      uint64 `json:"dead"`
}

// Acknowledge is the request to acknowledge.
type Acknowledge struct {
	Reason string `json:"reason,omitempty"`
}

// TestAlarm is the request for a test alarm.
type TestAlarm struct {
	Reason string `json:"reason,omitempty"`
}

// Result of a command. Pending commands are stored and will be carried out.
type Result struct {
	ID      string `json:"id,omitempty"`
	Pending bool   `json:"pending"`
	Message string `json:"message"`
}

// Move is the request to move a ticket.
type Move struct {
	To          faultline.Status      `json:"to"`
	Reason      string                `json:"reason,omitempty" about:"why; for cancelled one of duplicate, false_alarm, wont_fix, withdrawn, quote_declined"`
	DuplicateOf string                `json:"duplicate_of,omitempty" about:"number of the other ticket, if cancelled as duplicate"`
	Text        string                `json:"text,omitempty"`
	Resolution  *faultline.Resolution `json:"resolution,omitempty" about:"needed to resolve; and from in_progress to triaged, as the report of work that did not solve it: outcome partial or not_solved, words, cause, next_plan, owner, next_at"`
	ExpectedAt  time.Time             `json:"expected_solution_at,omitzero" about:"when the customer was told to expect the solution: needed for waiting_parts"`
	Version     int                   `json:"version,omitempty" about:"the version seen; 0 takes whatever is there"`
}

// Comment is the request to comment a ticket.
type Comment struct {
	Text       string `json:"text"`
	ToCustomer bool   `json:"to_customer,omitempty" about:"a message or logged call to the customer: stops the response clock"`
	Kind       string `json:"kind,omitempty" about:"comment, response, promise, solution_sent or diagnosis_sent; all but the first go to the customer, and the last two stop the answer clock too"`

	ExpectedAt time.Time `json:"expected_solution_at,omitzero" about:"when the customer was told to expect the solution: needed for promise and diagnosis_sent"`
	Version    int       `json:"version,omitempty" about:"the version seen; 0 takes whatever is there"`
}

// Amend is the request to correct a ticket. What is left out stays as it is.
type Amend struct {
	Impact          faultline.Criticality `json:"impact,omitempty" about:"A, B or C"`
	Urgency         int                   `json:"urgency,omitempty" about:"3: production stopped or may stop before planned work; 2: degraded; 1: no effect yet"`
	ReceivedAt      time.Time             `json:"received_at,omitzero" about:"when the call, mail or form really came: the clocks begin there"`
	Contract        string                `json:"contract,omitempty" about:"id of the contract that the clocks go by"`
	ContractVersion int                   `json:"contract_version,omitempty" about:"of that contract; the newest unless given"`
	Assignee        *string               `json:"assignee,omitempty"`
	Reason          string                `json:"reason,omitempty" about:"needed for all but the assignee"`
	Version         int                   `json:"version,omitempty" about:"the version seen; 0 takes whatever is there"`
}

// Report is a ticket that a person opens.
type Report struct {
	Kind       faultline.TicketKind  `json:"kind,omitempty" about:"manual (unless given) or improvement"`
	Site       string                `json:"site"`
	Position   string                `json:"position,omitempty"`
	Title      string                `json:"title"`
	Text       string                `json:"text,omitempty" about:"symptom, and when it began"`
	Impact     faultline.Criticality `json:"impact,omitempty" about:"A, B or C; the asset's unless given"`
	Urgency    int                   `json:"urgency,omitempty" about:"1 to 3; 2 unless given"`
	ReceivedAt time.Time             `json:"received_at,omitzero" about:"when the call, mail or form came; now unless given"`
	Assignee   string                `json:"assignee,omitempty"`
	Due        time.Time             `json:"due,omitzero" about:"of an improvement"`
}

// Health of the process and its parts.
type Health struct {
	OK      bool            `json:"ok"`
	Version string          `json:"version,omitempty"`
	Parts   map[string]bool `json:"parts,omitempty"`
}
