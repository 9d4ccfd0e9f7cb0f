package api

import (
	"context"
	"sync"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// past keeps how far the made-up history of positions reaches. It is asked for anew now and then:
// a demonstration writes it while pages are looked at.
type past struct {
	mu sync.Mutex
	of map[place]pastUntil
}

type pastUntil struct {
	until, asked time.Time
}

const (
	pastKept = time.Minute
	maxPast  = 10_000
)

// madeUpUntil is the time of the position's newest made-up value, zero if it has none.
func (s *Server) madeUpUntil(ctx context.Context, p *faultline.Position, now time.Time) (time.Time, error) {
	k := place{p.Site, p.ID}
	s.past.mu.Lock()
	known, ok := s.past.of[k]
	s.past.mu.Unlock()
	if ok && now.Sub(known.asked) < pastKept {
		return known.until, nil
	}
	until, err := s.series.MadeUpUntil(ctx, p.Kind, p.Site, p.ID)
	if err != nil {
		return time.Time{}, err
	}
	s.past.mu.Lock()
	defer s.past.mu.Unlock()
	if s.past.of == nil || len(s.past.of) >= maxPast {
		s.past.of = map[place]pastUntil{}
	}
	s.past.of[k] = pastUntil{until, now}
	return until, nil
}
