// Package ingest is the role that brings frames from the hub's streams into InfluxDB and accounts for
// every frame of every gateway in the loss ledger.
//
// One partition is read by one owner, who holds its lease. Messages are gathered, their lines written
// to InfluxDB, and then place, ledger, dead letters and gateways saved in one SQL transaction that
// checks the lease. What a crash leaves:
//
//   - before the write: nothing; the messages are read again from the saved place.
//   - after the write, before the transaction: the points are there, place and ledger are not. The
//     messages are read again, make the same points, and the ledger counts them once.
//   - after the transaction: everything. The points in the measurement faultline_ledger may be one
//     interval old; they are written again from the ledger's next change.
//
// An owner that lost its lease without knowing it may still write points, which are the same as those
// that the new owner writes; its transaction is refused.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// Role is the name under which leases are held and places saved.
const Role = "ingest"

// Source is the hub's streams.
type Source interface {
	// Consume hands over the messages of a partition that follow from, in order. It blocks until ctx
	// ends (nil) or handle fails (its error); a *bus.PlaceLostError says that messages are gone. The
	// slice may be reused after handle returns, the payloads may not.
	Consume(ctx context.Context, partition int, from faultline.Place, handle func(context.Context, []faultline.Message) error) error
}

var _ Source = (*bus.Hub)(nil)

// Store keeps places, ledger and dead letters.
type Store interface {
	// Lease makes owner the only one that works on the partition until now + ttl;
	// faultline.ErrConflict while another is.
	Lease(ctx context.Context, partition int, owner string, ttl time.Duration, now time.Time) (Lease, error)
}

// Lease is the right to work on a partition. Its writes fail with faultline.ErrFenced, and change
// nothing, once another owner has it. Safe for concurrent use.
type Lease interface {
	Renew(ctx context.Context, ttl time.Duration, now time.Time) error
	Release(ctx context.Context) error
	// Place is where the partition's reader stands; the zero Place if none is saved.
	Place(ctx context.Context) (faultline.Place, error)
	// Ledger gives the account of a gateway's epoch; false if there is none yet.
	Ledger(ctx context.Context, gateway, epoch string) (faultline.LedgerRow, bool, error)
	// Save writes place, rows and dead letters in one transaction. Saving the same again changes
	// nothing. The effects may be reused after it returns.
	Save(ctx context.Context, e Effects) error
}

// Effects is what dealing with messages has changed.
type Effects struct {
	Place    faultline.Place
	Rows     []faultline.LedgerRow // put as they are
	Dead     []faultline.DeadLetter
	Gateways []faultline.Gateway // seen alive; need not be in the transaction
	Stale    []StaleHours        // whose condensed values are to be made anew
}

// StaleHours are hours of a site whose readings have changed.
type StaleHours struct {
	Site  string
	Hours []time.Time
}

// Writer takes lines of line protocol, separated by newlines, and returns nil once they are safe.
// Writing the same lines again makes the same points. tsdb.IsPermanent of its error says that some of
// the lines will never be taken.
type Writer interface {
	Write(ctx context.Context, lines []byte) error
	// WriteIn writes into a retention policy, such as a tier.
	WriteIn(ctx context.Context, policy string, lines []byte) error
}

// Config of the role. The zero value of what has a default is that default.
type Config struct {
	Partitions []int // to work on
	Hub        Source
	Store      Store
	Influx     Writer
	Retention  time.Duration // of raw data; frames older than it are counted as expired; 0 keeps for ever
	Tiers      []tsdb.Tier   // that expired frames go to
	Owner      string        // of leases: one process, the same after its restart; the host's name by default
	Log        *slog.Logger
	Registry   prometheus.Registerer

	MaxLines int           // of one write; 5000 by default
	MaxWait  time.Duration // that a frame waits for others to fill a write; 250 ms by default
	LeaseFor time.Duration // 5 s by default, renewed after a third: a dead owner is replaced within 10 s
	// Mine, if set, tells whether this process should work on a partition now; others live too. The lease
	// decides who does.
	Mine func(partition int) bool
}

// Ingest is the role.
type Ingest struct {
	cfg        Config
	log        *slog.Logger
	metrics    *metrics
	partitions []*partition
}

// New checks the configuration.
func New(c Config) (*Ingest, error) {
	switch {
	case c.Hub == nil || c.Store == nil || c.Influx == nil:
		return nil, errors.New("ingest: hub, store and InfluxDB are needed")
	case len(c.Partitions) == 0:
		return nil, errors.New("ingest: no partitions to work on")
	}
	if c.Owner == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("ingest: no owner given, and none to be had: %w", err)
		}
		c.Owner = host
	}
	if c.MaxLines <= 0 {
		c.MaxLines = 5000
	}
	if c.MaxWait <= 0 {
		c.MaxWait = 250 * time.Millisecond
	}
	if c.LeaseFor <= 0 {
		c.LeaseFor = 5 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	i := &Ingest{cfg: c, log: c.Log.With("component", "ingest"), metrics: newMetrics(c.Registry)}
	for _, n := range c.Partitions {
		i.partitions = append(i.partitions, &partition{n: n, cfg: &i.cfg, log: i.log.With("partition", n), metrics: i.metrics})
	}
	return i, nil
}

// Run works on the partitions until ctx ends; then it finishes what it has read, within two seconds,
// gives the leases back and returns nil.
func (i *Ingest) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range i.partitions {
		wg.Go(func() { p.run(ctx) })
	}
	wg.Wait()
	return nil
}

// Ready says why frames do not reach InfluxDB at the moment; nil if they do.
func (i *Ingest) Ready() error {
	var errs []error
	for _, p := range i.partitions {
		if err := p.trouble(); err != nil {
			errs = append(errs, fmt.Errorf("ingest partition %d: %w", p.n, err))
		}
	}
	return errors.Join(errs...)
}

// Reached tells up to where a partition's messages are dealt with: their points are in InfluxDB and
// their ledger in the store. The zero Place before the first, and for a partition that is not ours.
// The last message of a stream may be one that a source keeps to itself: then Reached stays before it.
func (i *Ingest) Reached(partition int) faultline.Place {
	for _, p := range i.partitions {
		if p.n == partition {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.reached
		}
	}
	return faultline.Place{}
}
