package api

import (
	"context"
	"errors"
	"time"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// What happens to writes by themselves. Nobody asks for it, so there is no caller's view: no handler belongs here.

const (
	settleEvery = 15 * time.Second
	lostAfter   = time.Minute // a write on its way for longer has lost who waits for it
)

// runWrites ends writes that waited too long for a second person, and those whose process has ended while
// they were on their way: of these nobody knows.
func (s *Server) runWrites(ctx context.Context) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		if err := s.settleWrites(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("writes not settled", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) settleWrites(ctx context.Context) error {
	open, _, err := s.unscoped.Writes(ctx, store.WriteFilter{OnlyOpen: true})
	if err != nil {
		return err
	}
	now := s.now().UTC()
	settled := errors.New("nothing to do")
	for i := range open {
		w := &open[i]
		if w.Status == faultline.WritePending && now.Before(w.ExpiresAt) || w.Status == faultline.WriteSending && now.Sub(w.SentAt) < lostAfter {
			continue
		}
		is, err := s.unscoped.ChangeWrite(ctx, w.ID, func(w *faultline.Write) (faultline.WriteEvent, bool, error) {
			switch {
			case w.Expire(now):
			case w.Status == faultline.WriteSending && now.Sub(w.SentAt) >= lostAfter:
				w.Status, w.EndedAt, w.Message = faultline.WriteUnknown, now, "it is not known whether it was written, as the process that waited for it has ended: look at the equipment"
			default:
				return faultline.WriteEvent{}, false, settled
			}
			return faultline.WriteEvent{At: now, By: machine, Text: w.Message}, true, nil
		})
		switch {
		case err == nil:
			s.tellWrite(&is)
		case !errors.Is(err, settled):
			return err
		}
	}
	return nil
}
