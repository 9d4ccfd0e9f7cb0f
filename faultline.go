// Package faultline is the domain of remote monitoring and predictive maintenance: equipment at
// positions, the samples it reports, the alarms that rules raise from them, and the tickets, clocks,
// coverage and inspections of the people who answer for it.
//
// It imports the standard library only, reads no clock (time is always an argument) and does no I/O.
package faultline

import (
	"errors"
	"fmt"
)

// Errors that every room may answer with; test with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict")   // somebody changed it first, or it exists already
	ErrRefused  = errors.New("refused")    // the domain forbids it; the message says what is allowed
	ErrInvalid  = errors.New("invalid")    // the caller's input is wrong; the message says which field
	ErrFenced   = errors.New("lease lost") // another owner holds the lease: write nothing
)

// CheckName says whether s can name a site, gateway, position, rule, plan or asset kind. Names are
// subject tokens and tag values, so they hold letters, digits, "_" and "-" only, at most 64 of them.
func CheckName(what, s string) error {
	ok := len(s) >= 1 && len(s) <= 64 && s[0] != '_' && s[0] != '-'
	for i := 0; ok && i < len(s); i++ { // every frame's names come through here: no regular expression
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
	}
	if !ok {
		return fmt.Errorf("%w: %s %q: use 1 to 64 letters, digits, _ or -, beginning with a letter or digit", ErrInvalid, what, s)
	}
	return nil
}

// CheckPoint says whether s can name a point: lower-case words joined by single underscores, at most
// 64 bytes. A double underscore is refused because "<point>__q" carries the point's quality. Also refused
// are "time", which InfluxDB drops without a word, and the names of tags.
func CheckPoint(s string) error {
	switch s {
	case "time", "site", "position", "gateway", "origin":
		return fmt.Errorf("%w: point %q: the name is taken: use a longer one, such as valve_position", ErrInvalid, s)
	}
	ok := len(s) >= 1 && len(s) <= 64 && s[0] >= 'a' && s[0] <= 'z' && s[len(s)-1] != '_'
	for i := 1; ok && i < len(s); i++ {
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' && s[i-1] != '_'
	}
	if !ok {
		return fmt.Errorf("%w: point %q: use lower-case words of letters and digits joined by single underscores, at most 64 bytes", ErrInvalid, s)
	}
	return nil
}
