package uplink

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline/internal/bus"
)

// A buffer that fills steadily is told of at 70 and 90 percent, once each, with the time left; it is not
// ready from 90; and when it empties that is told too.
func TestBufferWarnsEarly(t *testing.T) {
	var log strings.Builder
	reg := prometheus.NewPedanticRegistry()
	b, err := NewBuffer(BufferOptions{Log: slog.New(slog.NewTextHandler(&log, nil)), Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	fill := func(percent int64) {
		now = now.Add(time.Minute)
		b.note(bus.Buffer{Frames: uint64(percent), Bytes: percent * 10, Limit: 1000, MaxAge: 100 * time.Hour, Oldest: time.Hour}, now)
	}
	for p := int64(50); p <= 69; p++ {
		fill(p)
	}
	if log.Len() != 0 || b.Ready() != nil {
		t.Errorf("too early: %s", log.String())
	}
	fill(70)
	if s := log.String(); strings.Count(s, "level=WARN") != 1 || !strings.Contains(s, "left=30m0s") {
		t.Error(s)
	}
	if s := b.State(); s.BufferUsed != 70 || s.BufferLeft.Round(time.Second) != 30*time.Minute {
		t.Errorf("%+v", s)
	}
	for p := int64(71); p <= 92; p++ {
		fill(p)
	}
	if s := log.String(); strings.Count(s, "level=WARN") != 1 || strings.Count(s, "level=ERROR") != 1 {
		t.Error(s)
	}
	if err := b.Ready(); err == nil || !strings.Contains(err.Error(), "92 %") || !strings.Contains(err.Error(), "8m0s") {
		t.Error(err)
	}
	if n, err := testutil.GatherAndLint(reg); err != nil || len(n) != 0 {
		t.Error(n, err)
	}
	fill(67) // within the dead band
	fill(10)
	if s := log.String(); strings.Count(s, "level=INFO") != 2 || b.Ready() != nil || b.State().BufferLeft != 0 {
		t.Errorf("%s, %v, %+v", s, b.Ready(), b.State())
	}
	log.Reset()
	b.note(bus.Buffer{Limit: 10, DiskShort: true}, now)
	b.note(bus.Buffer{Limit: 10, DiskShort: true}, now)
	if s := log.String(); strings.Count(s, "level=ERROR") != 1 || !b.State().DiskShort {
		t.Error(s)
	}
}

// Age counts as bytes do.
func TestBufferOfAge(t *testing.T) {
	for _, c := range []struct {
		b    bus.Buffer
		used float64
	}{
		{bus.Buffer{Bytes: 1, Limit: 100, Oldest: 9 * time.Hour, MaxAge: 10 * time.Hour}, 0.9},
		{bus.Buffer{Bytes: 50, Limit: 100, Oldest: time.Hour, MaxAge: 10 * time.Hour}, 0.5},
		{bus.Buffer{Bytes: 500, Limit: 100, MaxAge: time.Hour}, 1},
		{bus.Buffer{}, 0},
	} {
		if got := c.b.Used(); got != c.used {
			t.Errorf("%+v: %v", c.b, got)
		}
	}
}

func TestBufferRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b, err := NewBuffer(BufferOptions{Every: time.Millisecond, Measure: func(context.Context) (bus.Buffer, error) {
		cancel()
		return bus.Buffer{Bytes: 40, Limit: 100}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(ctx); err != nil || b.State().BufferUsed != 40 {
		t.Errorf("%+v, %v", b.State(), err)
	}
}
