package faultline

import (
	"fmt"
	"time"
)

// GatewayState is how a gateway of a site is, as it says itself. It goes with what is forwarded and is as of then,
// however old the frames are that it comes with.
type GatewayState struct {
	// BufferUsed is how much of the edge's limits (bytes, age, or the disk if that is less) is taken up by what the
	// hub does not have yet, in percent. At 100 the oldest frames are dropped.
	BufferUsed float64 `json:"buffer_used"`
	// BufferLeft is the time until then at the present rate; 0: it is not filling.
	BufferLeft time.Duration `json:"buffer_left,omitempty"`
	// DiskShort says that the declared limit does not fit the disk.
	DiskShort bool `json:"disk_short,omitempty"`
	// Config is the version of the configuration that it runs; 0: its own file's.
	Config int `json:"config,omitempty"`
	// Refused is the version that the hub wants and that it did not keep, and Why.
	Refused int    `json:"refused,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Points of a gateway, for rules on the asset kind "gateway".
const (
	PointBufferUsed = "buffer_used"
	PointBufferDisk = "buffer_disk"
	PointConfig     = "config_state"
)

// GatewayPoints describes the points of every gateway.
var GatewayPoints = []Point{
	{Name: PointBufferUsed, Title: "buffer used", Unit: "%", Type: TypeFloat},
	{Name: PointBufferDisk, Title: "limit of the buffer", Type: TypeInt, Texts: map[int64]string{0: "fits the disk", 1: "does not fit the disk"}},
	{Name: PointConfig, Title: "configuration", Type: TypeInt, Texts: map[int64]string{0: "as the hub wants it", 1: "refused"}},
}

// Samples are the state as samples of GatewayPoints.
func (s *GatewayState) Samples() []Sample {
	flag := func(on bool) Value {
		if on {
			return Int(1)
		}
		return Int(0)
	}
	return []Sample{
		{Point: PointBufferUsed, Value: Float(s.BufferUsed), Quality: Good},
		{Point: PointBufferDisk, Value: flag(s.DiskShort), Quality: Good},
		{Point: PointConfig, Value: flag(s.Refused != 0), Quality: Good},
	}
}

// Explain adds to the words of an alarm on a point what else the state says of it; "" for nothing.
func (s *GatewayState) Explain(point string) string {
	switch {
	case point == PointBufferUsed && s.BufferLeft > 0:
		return "; at the present rate the oldest frames are dropped in " + roughly(s.BufferLeft)
	case point == PointBufferUsed:
		return "; it is not filling at present"
	case point == PointConfig && s.Refused != 0:
		return fmt.Sprintf("; version %d was not kept, version %d runs: %s", s.Refused, s.Config, s.Why)
	}
	return ""
}

// roughly writes a time as people say it.
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d/time.Hour))
	}
	return fmt.Sprintf("%d minutes", max(int(d/time.Minute), 1))
}
