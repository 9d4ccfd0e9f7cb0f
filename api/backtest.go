package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// BacktestRequest says on which past a rule is to be tried.
type BacktestRequest struct {
	Site     string    `json:"site"`
	Position string    `json:"position"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to,omitzero" about:"now unless given"`
}

// Backtest is a back-test that is going on or done. It is kept until the server ends or some more have
// followed it.
type Backtest struct {
	ID       string          `json:"id"`
	Rule     string          `json:"rule"`
	Version  int             `json:"version"`
	Site     string          `json:"site"`
	Position string          `json:"position"`
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Done     bool            `json:"done"`
	Part     float64         `json:"part" about:"how much of it is done, 0 to 1"`
	Error    string          `json:"error,omitempty"`
	Report   *BacktestReport `json:"report,omitempty"`
}

// BacktestReport is what a back-test found.
type BacktestReport struct {
	Used    string          `json:"used" about:"where the data came from: readings, or the tier"`
	Notes   []string        `json:"notes,omitempty"`
	First   time.Time       `json:"first,omitzero"`
	Last    time.Time       `json:"last,omitzero"`
	Samples int64           `json:"samples"`
	Alarms  []BacktestAlarm `json:"alarms" about:"that would have been raised"`
	Were    []BacktestAlarm `json:"were" about:"that were really raised by this rule"`
	Tickets int             `json:"tickets" about:"that would have been opened"`
	Took    float64         `json:"took_s"`

	Pictures map[int][]byte `json:"-"` // SVG by place in Alarms
}

// BacktestAlarm is one time that an alarm would have been raised, or was.
type BacktestAlarm struct {
	RaisedAt time.Time          `json:"raised_at"`
	Cleared  time.Time          `json:"cleared_at,omitzero" about:"left out: active at the end"`
	Severity faultline.Severity `json:"severity"`
	Why      string             `json:"why"`
	Ticket   string             `json:"ticket,omitempty"`
	Both     bool               `json:"both" about:"it would have been raised and it was"`
	Picture  bool               `json:"picture,omitempty"`
}

// backtests keeps the last ones; one runs at a time.
type backtests struct {
	mu   sync.Mutex
	list []*Backtest // the oldest first
	busy chan struct{}
	run  sync.WaitGroup
	end  chan struct{} // closed by stop
}

const (
	keptBacktests   = 20
	longestBacktest = 10 * time.Minute
)

func newBacktests() *backtests {
	return &backtests{busy: make(chan struct{}, 1), end: make(chan struct{})}
}

// stop ends what runs and waits for it.
func (b *backtests) stop() {
	close(b.end)
	b.run.Wait()
}

func (b *backtests) get(id string) (Backtest, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.list {
		if t.ID == id {
			return *t, true
		}
	}
	return Backtest{}, false
}

func (b *backtests) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// startBacktest begins one in the background.
func (s *Server) startBacktest(c *call, q *BacktestRequest) (Backtest, error) {
	if s.workshop == nil {
		return Backtest{}, errNoWorkshop
	}
	r, err := s.ruleVersion(c)
	if err != nil {
		return Backtest{}, err
	}
	content, err := s.contentsFor(c)
	if err != nil {
		return Backtest{}, err
	}
	p := content.position[place{q.Site, q.Position}]
	if p == nil {
		return Backtest{}, fmt.Errorf("%w: position %s/%s", faultline.ErrNotFound, q.Site, q.Position)
	}
	if q.To.IsZero() || q.To.After(c.now) {
		q.To = c.now
	}
	if !q.From.Before(q.To) {
		return Backtest{}, invalid("from: %s is not before %s", q.From.Format(time.RFC3339), q.To.Format(time.RFC3339))
	}
	select {
	case s.backtests.busy <- struct{}{}:
	default:
		return Backtest{}, fmt.Errorf("%w: another back-test is going on: wait until it is done", faultline.ErrConflict)
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	t := &Backtest{ID: hex.EncodeToString(id), Rule: r.Name, Version: r.Version, Site: p.Site, Position: p.ID, From: q.From.UTC(), To: q.To.UTC()}
	b, begun := s.backtests, *t // t is changed by what runs from here on
	b.change(func() {
		b.list = append(b.list, t)
		if len(b.list) > keptBacktests {
			b.list = b.list[1:]
		}
	})
	position, body := *p, r.Body
	b.run.Go(func() {
		defer func() { <-b.busy }()
		ctx, cancel := context.WithTimeoutCause(context.Background(), longestBacktest, errors.New("the back-test took too long: try a shorter time"))
		defer cancel()
		b.run.Go(func() {
			select {
			case <-b.end:
				cancel()
			case <-ctx.Done():
			}
		})
		report, err := s.workshop.Backtest(ctx, t.Rule, body, position, t.From, t.To, func(part float64) {
			b.change(func() { t.Part = part })
			s.tellBacktest(t.ID)
		})
		b.change(func() {
			t.Done, t.Part = true, 1
			if err != nil {
				t.Error = err.Error()
				return
			}
			t.Report = &report
		})
		s.tellBacktest(t.ID)
	})
	return begun, nil
}

func (s *Server) tellBacktest(id string) {
	_ = s.live.PublishEvent(faultline.Event{Topic: "backtest", ID: id, At: s.now()}) // pages look again when they reconnect
}

func (s *Server) postBacktest(c *call) (any, error) {
	var q BacktestRequest
	if err := c.readJSON(&q); err != nil {
		return nil, err
	}
	return s.startBacktest(c, &q)
}

func (s *Server) backtest(c *call) (Backtest, error) {
	t, ok := s.backtests.get(c.Param("backtest"))
	if !ok || !c.who.has(t.Site) {
		return t, fmt.Errorf("%w: back-test %s: it may have made room for others", faultline.ErrNotFound, c.Param("backtest"))
	}
	return t, nil
}

func (s *Server) getBacktest(c *call) (any, error) { return s.backtest(c) }

func (s *Server) backtestPicture(c *call) (any, error) {
	t, err := s.backtest(c)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(c.Param("n"))
	if err != nil || t.Report == nil || t.Report.Pictures[n-1] == nil {
		return nil, fmt.Errorf("%w: picture %s of back-test %s", faultline.ErrNotFound, c.Param("n"), t.ID)
	}
	return svg(t.Report.Pictures[n-1]), nil
}
