//go:build !linux

package modbus

import "testing"

// serialLiar is nil: there are no pseudo terminals that tests know here.
var serialLiar func(t *testing.T, seed uint64) string
