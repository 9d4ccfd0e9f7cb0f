//go:build !unix

package main

import "runtime"

// cpuSeconds is not known here.
func cpuSeconds() float64 { return 0 }

// peakMemory is what the runtime took from the system.
func peakMemory() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys)
}
