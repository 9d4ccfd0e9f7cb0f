package api

import (
	"context"
	"time"

	"github.com/faultline-iot/faultline/internal/store"
)

// chore is work that is done again and again, once however many processes have the role api. What a crash leaves: one
// that is not finished is done again when its claim runs out.
type chore struct {
	kind  string // of the job
	key   string
	every time.Duration
	do    func(ctx context.Context, now time.Time) error
}

// jobs are how processes agree who does a chore; *store.Store is one.
type jobs interface {
	Schedule(context.Context, store.Job) error
	Claim(ctx context.Context, kind, owner string, limit int, ttl time.Duration, now time.Time) ([]store.Job, error)
	Finish(ctx context.Context, j store.Job, next time.Time) error
}

// chores lists them all.
func (s *Server) chores() []chore {
	return []chore{{"desk", "clocks", watchEvery, s.watch}, {"rules", "improvements", improveEvery, s.improve}}
}

// run does the chore whenever it is due, until ctx ends.
func (h *chore) run(ctx context.Context, s *Server) {
	if err := s.unscoped.Schedule(ctx, h.job(s.now())); err != nil && ctx.Err() == nil {
		s.log.Error("work of the desk is not done", "what", h.key, "error", err)
		return
	}
	each := time.NewTicker(h.every / 4)
	defer each.Stop()
	for {
		if err := h.once(ctx, s); err != nil && ctx.Err() == nil {
			s.log.Warn("work of the desk not done this time", "what", h.key, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-each.C:
		}
	}
}

func (h *chore) job(due time.Time) store.Job {
	return store.Job{Kind: h.kind, Key: h.key, Due: due}
}

// once does the chore if that is due and nobody else does it.
func (h *chore) once(ctx context.Context, s *Server) error {
	now := s.now()
	claimed, err := s.unscoped.Claim(ctx, h.kind, s.owner, 1, h.every, now)
	if err != nil || len(claimed) == 0 {
		return err
	}
	if err := h.do(ctx, now); err != nil {
		return err // the claim runs out, and it is tried again
	}
	return s.unscoped.Finish(ctx, claimed[0], now.Add(h.every))
}
