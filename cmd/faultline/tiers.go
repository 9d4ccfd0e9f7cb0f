package main

import (
	"time"

	"github.com/faultline-iot/faultline/internal/tsdb"
)

// tiers of the time series. Each is kept for at least as long as the finer one; 0 is for ever.
func (c *Config) tiers() []tsdb.Tier {
	longer := func(a, b time.Duration) time.Duration {
		if a == 0 || b == 0 {
			return 0
		}
		return max(a, b)
	}
	minutes := longer(c.Influx.Minutes, c.Influx.Retention)
	return tsdb.Tiers(minutes, longer(c.Influx.Hours, minutes))
}
