// Package detect is the mathematics of detection: what a signal, or a group of signals, normally does is
// learnt from the past as it comes, and each new moment is given a number that says how rare it is.
//
// Everything here is streaming (one pass, each step sees the past only), bounded in memory, and a
// function of samples and times: no clock, no randomness, no I/O. A state round-trips bit by bit, so
// that a detector that is stored and restored goes on as if nothing had happened.
//
// Values may have any unit: results do not change when a signal is scaled or shifted, up to rounding.
package detect

import "math"

// sure limits how far beyond everything seen a rarity is extrapolated, in powers of ten.
const sure = 8

// decades is -log10 p, never negative.
func decades(p float64) float64 { return max(0, -math.Log10(p)) }
