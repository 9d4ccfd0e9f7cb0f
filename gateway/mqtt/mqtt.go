// Package mqtt receives what equipment publishes: as a client of a broker (Client), or as the listener
// that equipment connects to where there is no broker (Listener). A message is acknowledged after its
// frame is stored, so nothing acknowledged is lost and what is delivered again is known.
package mqtt

import (
	"context"
	"log/slog"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

// DefaultMaxPayload is the longest payload that is decoded, in bytes. A longer one is a bad sample.
const DefaultMaxPayload = 64 << 10

// Emit stores a frame and returns when it is safe; see gateway.Emit.
type Emit = func(context.Context, faultline.Frame, bus.Meta) error

// Stamp gives the time of what arrives now; see modbus.Stamp.
type Stamp = func(position string) (time.Time, faultline.Quality)

// Device is one piece of equipment that publishes.
type Device struct {
	Position string
	Topic    string // the profile's suffixes come after it
	Username string // of the built-in listener: who may publish for it; "" for any user
	Profile  *profile.Profile
}

// topic is where the device publishes the point.
func (d *Device) topic(p *profile.Point) string {
	suffix := d.Profile.MQTT.Topic
	if p.Topic != "" {
		suffix = p.Topic
	}
	if suffix == "" {
		return d.Topic
	}
	return d.Topic + "/" + suffix
}

// Config is common to Client and Listener. Recent gives the last stored frames, oldest first, to know
// redeliveries after a restart; nil if there are none. Observe is told of every message, and of a lost
// connection; err is what was wrong.
type Config struct {
	Devices    []Device
	MaxPayload int // bytes; default DefaultMaxPayload
	Stamp      Stamp
	Observe    func(position string, connected bool, err error)
	Recent     func(context.Context) ([]faultline.Frame, error)
	Metrics    *Metrics
	Log        *slog.Logger
}

func (c *Config) fill(what, where string) {
	if c.MaxPayload <= 0 {
		c.MaxPayload = DefaultMaxPayload
	}
	if c.Stamp == nil {
		c.Stamp = func(string) (time.Time, faultline.Quality) { return time.Now(), faultline.Good }
	}
	if c.Observe == nil {
		c.Observe = func(string, bool, error) {}
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("component", "mqtt", what, where)
}

// pause waits unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
