package faultline

import (
	"fmt"
	"slices"
	"time"
)

// Kinds of versioned documents.
const (
	DocumentRules   = "rules"   // a rule; named for it
	DocumentGateway = "gateway" // a gateway's configuration; named for it
)

// RevisionState tells where a version of a document stands. At most one version of a document is live.
type RevisionState string

// The states of a version.
const (
	RevisionDraft   RevisionState = "draft"   // written, in force nowhere
	RevisionTested  RevisionState = "tested"  // a draft whose test run passed, for documents that have tests
	RevisionLive    RevisionState = "live"    // in force
	RevisionRetired RevisionState = "retired" // was live, or a draft that was given up; may become live again
)

var revisionMoves = map[RevisionState][]RevisionState{
	RevisionDraft:   {RevisionTested, RevisionLive, RevisionRetired},
	RevisionTested:  {RevisionLive, RevisionRetired},
	RevisionLive:    {RevisionRetired},
	RevisionRetired: {RevisionLive},
}

// CheckMove says whether a version may go from s to another state; an error that wraps ErrRefused names
// the states that it may go to.
func (s RevisionState) CheckMove(to RevisionState) error {
	if slices.Contains(revisionMoves[s], to) {
		return nil
	}
	return fmt.Errorf("%w: a version that is %s cannot become %q: possible are %v", ErrRefused, s, to, revisionMoves[s])
}

// Revision is one version of a document that people edit while it is in force, such as a rule. What it
// says never changes; an edit is a new version. Versions of a document count from 1.
type Revision struct {
	Kind    string        `json:"kind"`
	Name    string        `json:"name"`
	Version int           `json:"version"`
	State   RevisionState `json:"state"`
	By      string        `json:"by"` // who wrote it
	At      time.Time     `json:"at"`
	Note    string        `json:"note,omitempty"` // why, in the writer's words
	Body    string        `json:"body,omitempty"` // lists leave it out
}

// RevisionEvent is one line of a document's history: a version was written (State draft) or moved to
// another state.
type RevisionEvent struct {
	Kind    string        `json:"kind"`
	Name    string        `json:"name"`
	Version int           `json:"version"`
	State   RevisionState `json:"state"`
	By      string        `json:"by"`
	At      time.Time     `json:"at"`
	Note    string        `json:"note,omitempty"`
}
