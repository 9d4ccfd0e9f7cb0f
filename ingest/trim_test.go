package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// A stored message a second, from the beginning of the bubble's time.
type trimmed struct {
	began time.Time

	mu    sync.Mutex
	last  uint64
	place uint64
	fails error
}

func (s *trimmed) set(place uint64, fails error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place, s.fails = place, fails
}

func (s *trimmed) reached() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *trimmed) Stream(int) string { return "S" }

func (s *trimmed) SequenceBefore(_ context.Context, _ int, t time.Time) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(max(0, t.Sub(s.began)/time.Second)), s.fails
}

func (s *trimmed) Trim(_ context.Context, _ int, upTo uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = upTo
	return nil
}

func TestTrim(t *testing.T) {
	at := func(role, stream string, part int, sequence uint64) store.SavedPlace {
		return store.SavedPlace{Role: role, Partition: part, Place: faultline.Place{Stream: stream, Sequence: sequence}}
	}
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	hour := uint64(3600)
	for name, c := range map[string]struct {
		places []store.SavedPlace
		hours  int
		want   uint64
	}{
		"all is younger than the time kept": {[]store.SavedPlace{at("ingest", "S", 0, 20*hour), at("rules", "S", 0, 20*hour)}, 23, 0},
		"as far as the time kept":           {[]store.SavedPlace{at("ingest", "S", 0, 40*hour), at("rules", "S", 0, 40*hour)}, 40, 16 * hour},
		"as far as the slowest":             {[]store.SavedPlace{at("ingest", "S", 0, 40*hour), at("rules", "S", 0, 7)}, 40, 7},
		"a role that never saved":           {[]store.SavedPlace{at("ingest", "S", 0, 40*hour)}, 40, 0},
		"a role at its beginning":           {[]store.SavedPlace{at("ingest", "S", 0, 40*hour), at("rules", "S", 0, 0)}, 40, 0},
		"a place in the stream before":      {[]store.SavedPlace{at("ingest", "OLD", 0, 40*hour), at("rules", "S", 0, 40*hour)}, 40, 0},
		"a place in another partition":      {[]store.SavedPlace{at("ingest", "S", 1, 40*hour), at("rules", "S", 0, 40*hour)}, 40, 0},
	} {
		s := &trimmed{began: began}
		tr := Trimmer{Hub: s, Places: func(context.Context) ([]store.SavedPlace, error) { return c.places, nil }, Roles: []string{"ingest", "rules"}, Keep: 24 * time.Hour}
		got, err := tr.Trim(t.Context(), 0, began.Add(time.Duration(c.hours)*time.Hour))
		if err != nil || got != c.want || s.reached() != c.want {
			t.Errorf("%s: %d and trimmed to %d (%v), want %d", name, got, s.reached(), err, c.want)
		}
	}
}

// The trimmer goes on after failures, and follows the places.
func TestTrimmerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &trimmed{began: time.Now()}
		s.set(1000, errors.New("away"))
		tr := Trimmer{Hub: s, Partitions: []int{0}, Roles: []string{"rules"}, Log: slog.New(slog.DiscardHandler), Places: func(context.Context) ([]store.SavedPlace, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return []store.SavedPlace{{Role: "rules", Place: faultline.Place{Stream: "S", Sequence: s.place}}}, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tr.Run(ctx) }()
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		if s.reached() != 0 {
			t.Errorf("trimmed to %d though looking failed", s.reached())
		}
		for _, place := range []uint64{1000, 2000} {
			s.set(place, nil)
			time.Sleep(11 * time.Minute)
			synctest.Wait()
			if s.reached() != place {
				t.Errorf("trimmed to %d, want %d", s.reached(), place)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
