package faultline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// AuditEntry is one change by a person or a program of theirs, or an attempt that was refused. Entries
// are never changed; each one's hash covers the one before, see Seal.
type AuditEntry struct {
	N       int64     `json:"n"` // 1, 2, 3 … without gaps
	At      time.Time `json:"at"`
	By      string    `json:"by"`             // user; "local" on this machine before there are users, "" nobody known
	Role    Role      `json:"role,omitempty"` // acted with
	Via     string    `json:"via,omitempty"`  // session, token and its name, local, link, terminal
	From    string    `json:"from,omitempty"` // address
	Action  string    `json:"action"`         // route, as POST /tickets/:id/move, or command
	Object  string    `json:"object,omitempty"`
	Change  string    `json:"change,omitempty"`  // what was done to the store
	Before  string    `json:"before,omitempty"`  // what changed, as JSON
	After   string    `json:"after,omitempty"`   // likewise
	Request string    `json:"request,omitempty"` // SHA-256 of the body
	Outcome string    `json:"outcome"`
	Detail  string    `json:"detail,omitempty"`

	Previous string `json:"previous,omitempty"` // hash of the entry before
	Hash     string `json:"hash,omitempty"`     // not part of what it covers
}

// Outcomes of an audited act.
const (
	OutcomeDone    = "done"
	OutcomePending = "pending" // taken; rules will carry it out
	OutcomeRefused = "refused" // by the domain: a gate, a conflict, a wrong request
	OutcomeDenied  = "denied"  // by who may: role, scope, login
	OutcomeFailed  = "failed"  // a fault of ours
)

// Outcomes are all of them.
var Outcomes = []string{OutcomeDone, OutcomePending, OutcomeRefused, OutcomeDenied, OutcomeFailed}

// Seal puts the entry behind the one before: it sets N, Previous and Hash, and gives the canonical
// bytes, which are what must be stored. Hash is the SHA-256, in hex, of these bytes, which name the
// hash before.
func (e *AuditEntry) Seal(n int64, previous string) ([]byte, error) {
	e.N, e.Previous, e.Hash, e.At = n, previous, "", e.At.UTC()
	for _, s := range []*string{&e.By, &e.From, &e.Action, &e.Object, &e.Change, &e.Detail} {
		*s = strings.ReplaceAll(strings.ToValidUTF8(*s, "�"), "\x00", " ") // databases refuse what is not text
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("%w: audit entry %d: %w", ErrInvalid, n, err)
	}
	e.Hash = AuditHash(b)
	return b, nil
}

// AuditHash of an entry's canonical bytes.
func AuditHash(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// AuditHead names the last entry of an audit: who keeps it elsewhere can tell whether the end was cut
// off or everything rewritten since.
type AuditHead struct {
	N    int64  `json:"n"`
	Hash string `json:"hash"`
}

// Follows checks an entry that was read from outside against the head before it, and gives the head that it
// makes.
func (e AuditEntry) Follows(before AuditHead) (AuditHead, error) {
	hash := e.Hash
	e.Hash = ""
	b, err := json.Marshal(e)
	switch {
	case err != nil:
		return before, fmt.Errorf("%w: audit entry %d: %w", ErrInvalid, e.N, err)
	case e.N != before.N+1:
		return before, fmt.Errorf("%w: audit entry %d follows entry %d", ErrInvalid, e.N, before.N)
	case e.Previous != before.Hash:
		return before, fmt.Errorf("%w: audit entry %d does not name the hash of entry %d", ErrInvalid, e.N, before.N)
	case AuditHash(b) != hash:
		return before, fmt.Errorf("%w: audit entry %d was changed", ErrInvalid, e.N)
	}
	return AuditHead{N: e.N, Hash: hash}, nil
}
