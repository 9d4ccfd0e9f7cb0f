package ingest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// parted is a hub and an InfluxDB of several partitions, each with a site, s0, s1 and so on, and a database of its own.
type parted []*rig

func (p parted) Consume(ctx context.Context, n int, from faultline.Place, handle func(context.Context, []faultline.Message) error) error {
	return p[n].stream.Consume(ctx, n, from, handle)
}

func (p parted) Lease(ctx context.Context, n int, owner string, ttl time.Duration, now time.Time) (Lease, error) {
	return p[n].memory.Lease(ctx, n, owner, ttl, now)
}

func (p parted) Write(ctx context.Context, lines []byte) error { return p.WriteIn(ctx, "", lines) }

func (p parted) WriteIn(ctx context.Context, policy string, lines []byte) error {
	for n := range p {
		if strings.Contains(string(lines), fmt.Sprintf(",site=s%d", n)) {
			return p[n].influx.WriteIn(ctx, policy, lines)
		}
	}
	return nil
}

// counted counts the messages that were taken of each partition.
type counted struct {
	parted
	taken [2]atomic.Int64
}

func (c *counted) Consume(ctx context.Context, n int, from faultline.Place, handle func(context.Context, []faultline.Message) error) error {
	return c.parted.Consume(ctx, n, from, func(ctx context.Context, ms []faultline.Message) error {
		err := handle(ctx, ms)
		if err == nil {
			c.taken[n].Add(int64(len(ms)))
		}
		return err
	})
}

// An InfluxDB that is away for half a day refuses thousands of writes. Meanwhile no more messages are held than fit one write and
// what is gathered for the next; the partition of another database is not held up; and afterwards every frame is there, once.
func TestInfluxAwayForHalfADay(t *testing.T) {
	const (
		every  = 5 * time.Second
		frames = int(12 * time.Hour / every)
	)
	synctest.Test(t, func(t *testing.T) {
		hub := &counted{parted: parted{newRig(), newRig()}}
		r := newRig()
		r.cfg.Partitions, r.cfg.Hub, r.cfg.Store, r.cfg.Influx, r.cfg.MaxLines = []int{0, 1}, hub, hub, hub, 500
		refused := 0
		hub.parted[1].influx.set(func([][]byte) error {
			if refused++; refused%2 == 0 {
				return &tsdb.Error{Op: "write", Message: "connection refused"}
			}
			return &tsdb.Error{Op: "write", Status: 503, Message: "the server is starting"}
		})
		r.start(t)
		for range frames {
			for n, p := range hub.parted {
				m := p.frame("g1", time.Now())
				m.Site = fmt.Sprintf("s%d", n)
				m.Payload = []byte(strings.Replace(string(m.Payload), "site=s1", "site="+m.Site, 1))
				p.add(m)
			}
			settle(every)
		}
		if refused < 2000 {
			t.Fatalf("only %d writes were refused", refused)
		}
		if n := hub.parted[0].count(); n != frames {
			t.Errorf("the other database has %d points of %d while this one is away", n, frames)
		}
		// One write, what waits in the channel, and what the reader has in its hands.
		if n, most := hub.taken[1].Load(), int64(3*r.cfg.MaxLines); n > most || n == 0 {
			t.Errorf("%d messages are held, at most %d should be", n, most)
		}
		if n := hub.parted[1].count(); n != 0 {
			t.Errorf("%d points reached a database that was away", n)
		}
		hub.parted[1].influx.set(nil)
		settle(time.Minute)
		for n, p := range hub.parted {
			if row := p.row(t, "g1"); p.count() != frames || row.Delivered != uint64(frames) || row.Missing+row.Duplicate+row.Dead != 0 {
				t.Errorf("partition %d: %d points of %d, %+v", n, p.count(), frames, row)
			}
		}
	})
}
