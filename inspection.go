package faultline

import "time"

// Plan is an inspection plan: what is to be done at a kind of asset, and when it falls due.
type Plan struct {
	ID        string        `json:"id"`
	Title     string        `json:"title"`
	AssetKind string        `json:"asset_kind"`
	Meter     string        `json:"meter"` // point that counts, in hours, cycles or starts
	Every     float64       `json:"every"` // in the meter's unit
	Unit      string        `json:"unit,omitempty"`
	Window    time.Duration `json:"window"`         // the work is to be done within this time from falling due
	Lead      time.Duration `json:"lead,omitempty"` // that the work needs to be prepared: what is forecast to fail sooner is told of
	Jobs      []string      `json:"jobs"`
}

// InspectionStatus is the state of one occurrence of a plan.
type InspectionStatus string

// The statuses of an inspection. Overdue is a flag that does not vanish, not a status.
const (
	InspectionPlanned    InspectionStatus = "planned"
	InspectionDue        InspectionStatus = "due"
	InspectionInProgress InspectionStatus = "in_progress"
	InspectionDone       InspectionStatus = "done"
	InspectionSkipped    InspectionStatus = "skipped"
)

// Inspection is one occurrence of a plan at a position: unique per cycle, one open per plan.
type Inspection struct {
	Site     string           `json:"site"`
	Position string           `json:"position"`
	Plan     string           `json:"plan"`
	Cycle    int              `json:"cycle"`
	Status   InspectionStatus `json:"status"`
	DueAt    time.Time        `json:"due_at"`
	Until    time.Time        `json:"until"`
	Reading  float64          `json:"reading"` // the meter's when it fell due
	Ticket   string           `json:"ticket"`
	DoneAt   time.Time        `json:"done_at,omitzero"`
	MadeUp   bool             `json:"made_up,omitempty"`
}
