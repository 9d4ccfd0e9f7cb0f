package rules

import (
	"context"
	"errors"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// Source is the stream of everything that rules depend on; *bus.Hub is one.
type Source interface {
	// Partition of a site, and how many there are.
	Partition(site string) int
	Partitions() int
	// Consume hands over the messages after from, in order, and blocks until ctx ends or handle fails,
	// whose error it returns. handle is not called again before it has returned.
	Consume(ctx context.Context, partition int, from faultline.Place, handle func(context.Context, []faultline.Message) error) error
	// Tick puts the hub's second into the stream.
	Tick(ctx context.Context, partition int, at time.Time) error
	// Order puts a command of the partition's owner into the stream.
	Order(ctx context.Context, partition int, c faultline.Command) error
	// Answer tells who sent a command what became of it; nobody may be waiting.
	Answer(ctx context.Context, r faultline.CommandResult) error
}

// Store is where rules find the equipment and leave their work.
type Store interface {
	Sites(ctx context.Context) ([]faultline.Site, error)
	Positions(ctx context.Context) ([]faultline.Position, error)
	Contracts(ctx context.Context) ([]faultline.Contract, error)
	ReplaceRuleInstances(ctx context.Context, instances []faultline.RuleInstance) error
	// Lease makes owner the only one that works on the partition until now + ttl;
	// faultline.ErrConflict while another is.
	Lease(ctx context.Context, partition int, owner string, ttl time.Duration, now time.Time) (Lease, error)
}

// Documents are the rules as people edit them, in versions (faultline.DocumentRules, by the id of the rule);
// *store.Store has them.
type Documents interface {
	// LiveVersions gives the live version of every document of a kind.
	LiveVersions(ctx context.Context, kind string) (map[string]int, error)
	// Revision gives one version, which never changes, or faultline.ErrNotFound; the live one for 0.
	Revision(ctx context.Context, kind, name string, version int) (faultline.Revision, error)
	LiveRevisions(ctx context.Context, kind string) ([]faultline.Revision, error)
	// SeedRevisions makes versions live unless people have edited their documents; it gives what is there.
	SeedRevisions(ctx context.Context, list []faultline.Revision) (are []faultline.Revision, seeded []string, err error)
	MoveRevision(ctx context.Context, e faultline.RevisionEvent, live int) (faultline.Revision, error)
}

// Lease is the right to work on a partition. Its writes fail with faultline.ErrFenced, and change
// nothing, once another owner has it. Safe for concurrent use.
type Lease interface {
	Renew(ctx context.Context, ttl time.Duration, now time.Time) error
	Release(ctx context.Context) error
	// Units gives every saved unit of the partition.
	Units(ctx context.Context) ([]Unit, error)
	// SaveUnits writes units, drops others, and then says that a restart begins after place.
	SaveUnits(ctx context.Context, units []Unit, drop []string, place faultline.Place) error
	// Effects runs fn in one transaction, which is undone when fn fails. fn may be run again after
	// an error, so it must change nothing else.
	Effects(ctx context.Context, fn func(Tx) error) error
}

// Unit is the saved state of a position or gateway, with the place in the stream that it reflects.
type Unit struct {
	ID    string
	Place faultline.Place
	State []byte
}

// Tx is what the effects of a batch are written with, all or nothing; *store.Tx is one.
type Tx interface {
	alarmTx
	ticketQueries
	ticketTx
	inspectionTx
	forecastTx
}

type alarmTx interface {
	Alarm(id string) (faultline.Alarm, bool, error)
	PutAlarm(a faultline.Alarm) error
	// AddAlarmEvent says false if the event is there already: it is a replay, and whatever followed
	// from it was done then.
	AddAlarmEvent(e faultline.AlarmEvent) (added bool, err error)
}

type ticketQueries interface {
	OpenTickets(site, position string) ([]faultline.Ticket, error)
	TicketByKey(key string) (faultline.Ticket, bool, error)
	LastTicketByKey(key string) (faultline.Ticket, bool, error)
	CountTicketsSince(site string, since time.Time) (int, error)
}

type ticketTx interface {
	CreateTicket(t *faultline.Ticket) error
	UpdateTicket(t *faultline.Ticket) error
	AddTicketEvent(e faultline.TicketEvent) error
	PutEvidence(e faultline.Evidence) error
}

type inspectionTx interface {
	Inspection(site, position, plan string) (faultline.Inspection, bool, error) // the open one
	PutInspection(i faultline.Inspection) error
}

type forecastTx interface {
	AddForecast(f faultline.Forecast) error // one of the same rule and moment is kept
}

// role under which rules hold leases and save places.
const role = "rules"

// SQL makes the SQL store the Store of rules.
func SQL(s *store.Store) Store { return sqlStore{s} }

type sqlStore struct{ *store.Store }

func (s sqlStore) Lease(ctx context.Context, partition int, owner string, ttl time.Duration, now time.Time) (Lease, error) {
	l, err := s.Acquire(ctx, role, partition, owner, ttl, now)
	if err != nil {
		return nil, err
	}
	return &sqlLease{s.Store, l}, nil
}

// sqlLease holds the lease as it was acquired: renewing prolongs it in the store and keeps its epoch,
// which is all that the store checks.
type sqlLease struct {
	store *store.Store
	lease store.Lease
}

func (l *sqlLease) Renew(ctx context.Context, ttl time.Duration, now time.Time) error {
	_, err := l.store.Renew(ctx, l.lease, ttl, now)
	return err
}

func (l *sqlLease) Release(ctx context.Context) error { return l.store.Release(ctx, l.lease) }

func (l *sqlLease) Units(ctx context.Context) ([]Unit, error) {
	saved, err := l.store.Units(ctx, l.lease.Partition)
	units := make([]Unit, len(saved))
	for i, u := range saved {
		units[i] = Unit(u)
	}
	return units, err
}

func (l *sqlLease) SaveUnits(ctx context.Context, units []Unit, drop []string, place faultline.Place) error {
	list := make([]store.Unit, len(units))
	for i, u := range units {
		list[i] = store.Unit(u)
	}
	err := l.store.SaveUnits(ctx, l.lease, list)
	if err == nil && len(drop) > 0 {
		err = l.store.DropUnits(ctx, l.lease, drop)
	}
	if err != nil || place == (faultline.Place{}) {
		return err
	}
	return l.store.Tx(ctx, l.lease, func(tx *store.Tx) error { return tx.SavePlace(role, l.lease.Partition, place) })
}

func (l *sqlLease) Effects(ctx context.Context, fn func(Tx) error) error {
	return l.store.Tx(ctx, l.lease, func(tx *store.Tx) error { return fn(tx) })
}

// permanent tells whether repeating a write is of no use.
func permanent(err error) bool { return errors.Is(err, faultline.ErrInvalid) }
