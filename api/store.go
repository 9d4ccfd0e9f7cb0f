package api

import (
	"context"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// Store is what api needs of SQL; *store.Store is one. It is safe for concurrent use, and the caller
// of New closes it after Run has returned.
type Store interface {
	registry
	plans
	alarms
	tickets
	losses
	figures
	jobs
	people
	documents
	writes
	Ping(context.Context) error
	// As gives the store for one who acts: writes are audited in their transaction.
	As(*store.Trail) *store.Store
}

// people is users, what they log in with, and the audit.
type people interface {
	HasUsers(context.Context) (bool, error)
	HasAdmin(context.Context) (bool, error)
	User(context.Context, string) (faultline.User, error)
	UserSecret(context.Context, string) (faultline.User, string, error)
	Teams(context.Context) ([]faultline.Team, error)
	AddSession(ctx context.Context, key string, v faultline.Session) error
	SessionUser(ctx context.Context, key string) (faultline.Session, faultline.User, error)
	SeeSession(ctx context.Context, key string, at time.Time) error
	EndSession(ctx context.Context, key string) error
	DropSessions(ctx context.Context, now, idle time.Time) (int, error)
	TokenUser(ctx context.Context, key string) (faultline.Token, faultline.User, error)
	UseToken(ctx context.Context, key string, at time.Time) error
	InviteUser(ctx context.Context, key string) (u faultline.User, until time.Time, err error)
	Audit(context.Context, faultline.AuditEntry) (faultline.AuditEntry, error)
}

type registry interface {
	Sites(context.Context) ([]faultline.Site, error)
	Positions(context.Context) ([]faultline.Position, error)
	Contracts(context.Context) ([]faultline.Contract, error)
	ContractVersions(context.Context) ([]faultline.Contract, error) // by id, the oldest first
	Calendars(context.Context) ([]faultline.Calendar, error)
	Gateways(context.Context) ([]faultline.Gateway, error)
}

type plans interface {
	Plans(context.Context) ([]faultline.Plan, error)
	RuleInstances(ctx context.Context, site, position string) ([]faultline.RuleInstance, error)
	Inspections(context.Context, store.InspectionFilter) ([]faultline.Inspection, error)
	Forecasts(ctx context.Context, site, position string) ([]faultline.Forecast, error) // the newest of each rule
}

type alarms interface {
	Alarms(context.Context, store.AlarmFilter) ([]faultline.Alarm, int, error)
	Alarm(ctx context.Context, id string) (faultline.Alarm, error)
	AlarmEvents(ctx context.Context, alarm string, limit int) ([]faultline.AlarmEvent, error)
}

type tickets interface {
	Tickets(context.Context, store.TicketFilter) ([]faultline.Ticket, int, error)
	Ticket(ctx context.Context, idOrNumber string) (faultline.Ticket, error)
	TicketEvents(ctx context.Context, id string) ([]faultline.TicketEvent, error)
	Evidence(ctx context.Context, ticket string) ([]faultline.Evidence, error)
	// AddTicket numbers and adds a ticket with its first lines of history; see store.Store.
	AddTicket(context.Context, faultline.Ticket, []faultline.TicketEvent, []faultline.Evidence) (faultline.Ticket, error)
	// ChangeTicket calls change in one transaction; see store.Store.
	ChangeTicket(ctx context.Context, idOrNumber string, version int, change func(*faultline.Ticket) ([]faultline.TicketEvent, error)) (faultline.Ticket, error)
}

type figures interface {
	AlarmHistory(context.Context, store.FigureFilter) ([]faultline.Alarm, []faultline.AlarmEvent, error)
	Faults(context.Context, store.FigureFilter) ([]faultline.Ticket, error)
	Received(context.Context, store.FigureFilter) ([]faultline.Ticket, error)
}

type writes interface {
	AddWrite(ctx context.Context, w faultline.Write, text string) error
	// ChangeWrite calls change in one transaction; see store.Store.
	ChangeWrite(ctx context.Context, id string, change func(*faultline.Write) (e faultline.WriteEvent, commit bool, err error)) (faultline.Write, error)
	Write(ctx context.Context, id string) (faultline.Write, error)
	Writes(context.Context, store.WriteFilter) ([]faultline.Write, int, error)
	WriteEvents(ctx context.Context, id string) ([]faultline.WriteEvent, error)
}

type losses interface {
	LedgerRows(context.Context) ([]faultline.LedgerRow, error)
	FindDeadLetters(context.Context, store.DeadLetterFilter) ([]faultline.DeadLetter, int, error)
	DeadGroups(ctx context.Context, limit int, sites ...string) ([]faultline.DeadGroup, int64, error)
	ForgetDeadLetters(ctx context.Context, ids ...int64) (int64, error)
}

// Series reads values over time; *tsdb.Client is one.
type Series interface {
	History(context.Context, tsdb.HistoryQuery) ([]tsdb.PointHistory, error)
	Latest(ctx context.Context, kind, site, position string) (faultline.Frame, error) // ErrNotFound if there is none
	// MadeUpUntil is the time of a position's newest made-up value, zero if it has none.
	MadeUpUntil(ctx context.Context, kind, site, position string) (time.Time, error)
	Ping(context.Context) error
}

// Commands puts commands into the stream of their site, durably, and waits a short while for their
// result; *bus.Hub is one. bus.ErrPending says that the command is stored and its result still to come.
type Commands interface {
	Send(context.Context, faultline.Command) (faultline.CommandResult, error)
}

// Live gives newest frames and events as they come, until ctx ends; it may lose some. *bus.Conn is one.
type Live interface {
	SubscribeLive(context.Context, func(faultline.Frame)) error
	SubscribeEvents(context.Context, func(faultline.Event)) error
	PublishEvent(faultline.Event) error
}
