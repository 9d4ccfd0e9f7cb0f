package tsdb

import (
	"context"
	"time"
)

// StepHistory is the server's own way from points to steps.
func StepHistory(ctx context.Context, c *Client, policy string, step time.Duration, q HistoryQuery) ([]PointHistory, error) {
	return c.stepHistory(ctx, policy, step, q)
}
