package provision

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
)

// site is a gateway in a bubble: its body says what works. "P-1 P-2 -P-3" reads three positions, the last of
// which gives nothing good; "!" does not pass its check, "?" ends at once.
type site struct {
	t     *testing.T
	mu    sync.Mutex // of want, err and runs
	file  string
	want  bus.GatewayConfig
	err   error
	fresh bool
	own   bus.GatewayConfig
	runs  []string // bodies as they were started
	*Keeper
}

func (s *site) make(d bus.GatewayConfig) (*Candidate, error) {
	if d.Body == "!" {
		return nil, errors.New("devices[0].position: is missing")
	}
	c := &Candidate{}
	for p := range strings.FieldsSeq(d.Body) {
		c.Positions = append(c.Positions, strings.TrimPrefix(p, "-"))
	}
	c.Run = func(ctx context.Context) error {
		s.mu.Lock()
		s.runs = append(s.runs, d.Body)
		s.mu.Unlock()
		if d.Body == "?" {
			return errors.New("no such port")
		}
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
			for p := range strings.FieldsSeq(d.Body) {
				if !strings.HasPrefix(p, "-") {
					s.Good(p)
				}
			}
		}
	}
	return c, nil
}

// run begins a process; the returned function ends it.
func (s *site) run() (stop func()) {
	s.t.Helper()
	k, err := New(Options{File: s.file, Own: s.own, Fresh: s.fresh, Make: s.make, Read: s.read})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Keeper = k
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

func (s *site) state(config, refused int, why string) {
	s.t.Helper()
	synctest.Wait()
	var is faultline.GatewayState
	s.Tell(&is)
	if is.Config != config || is.Refused != refused || (why == "") != (is.Why == "") || !strings.Contains(is.Why, why) {
		s.t.Errorf("%+v; want version %d, %d refused for %q", is, config, refused, why)
	}
}

func (s *site) live(version int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want, s.err = bus.GatewayConfig{Version: version, Body: body}, nil
}

func (s *site) read(context.Context) (bus.GatewayConfig, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want, s.err
}

func (s *site) away() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.New("away")
}

func (s *site) ran() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runs)
}

func newSite(t *testing.T) *site {
	return &site{t: t, file: filepath.Join(t.TempDir(), "gateway.json"), err: faultline.ErrNotFound}
}

func TestFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		stop := s.run()
		time.Sleep(time.Minute)
		s.state(0, 0, "")
		s.live(1, "P-1 P-2")
		time.Sleep(20 * time.Second) // nothing runs that could be lost
		s.state(1, 0, "")
		s.live(2, "P-1 -P-2") // not the whole site is silent
		time.Sleep(20 * time.Second)
		s.state(1, 0, "") // too early to know which equipment answers
		time.Sleep(time.Minute)
		s.state(2, 0, "")
		s.live(3, "P-1 -P-2")
		time.Sleep(10 * time.Second)
		s.state(3, 0, "")
		if want := []string{"", "P-1 P-2", "P-1 -P-2"}; !slices.Equal(s.ran(), want) {
			t.Errorf("ran %q, want %q: what says the same is no reason to start again", s.ran(), want)
		}
		s.live(4, "!")
		time.Sleep(10 * time.Second)
		s.state(3, 4, "is missing")
		s.live(3, "P-1 -P-2") // somebody goes back
		time.Sleep(10 * time.Second)
		s.state(3, 0, "")
		stop()
		s.away()
		stop = s.run()
		time.Sleep(10 * time.Second)
		s.state(3, 0, "")
		stop()
	})
}

func TestGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.live(1, "P-1 P-2")
		stop := s.run()
		time.Sleep(90 * time.Second)
		s.live(2, "-P-1 -P-2 P-3") // P-3 was not there before
		time.Sleep(time.Minute)
		s.state(2, 0, "") // on trial
		time.Sleep(2 * time.Minute)
		s.state(1, 2, "no good sample within 2m0s of [P-1 P-2]")
		stop()
		runs := len(s.ran())
		stop = s.run() // it is not tried again
		time.Sleep(10 * time.Minute)
		s.state(1, 2, "silences")
		if want := []string{"P-1 P-2"}; !slices.Equal(s.ran()[runs:], want) {
			t.Errorf("ran %q, want %q", s.ran()[runs:], want)
		}
		s.live(3, "?")
		time.Sleep(10 * time.Second)
		s.state(1, 3, "no such port")
		s.live(4, "-P-1")
		time.Sleep(70 * time.Second)
		stop() // in the middle of a trial: it begins anew with what works
		stop = s.run()
		time.Sleep(10 * time.Second)
		s.state(1, 3, "no such port") // of the fourth nothing is known yet
		time.Sleep(4 * time.Minute)
		s.state(1, 4, "silences")
		s.live(5, "P-1 P-2 P-3")
		time.Sleep(90 * time.Second)
		s.state(5, 0, "")
		stop()
	})
}

// Where the hub is in the same process, what is live there is taken at once; unless it was refused.
func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.live(1, "P-1")
		s.own, s.fresh = s.want, true
		stop := s.run()
		time.Sleep(2 * time.Minute)
		stop()
		s.live(2, "P-2")
		s.own = s.want
		stop = s.run()
		time.Sleep(time.Second)
		s.state(2, 0, "")
		time.Sleep(2 * time.Minute)
		s.live(3, "-P-2")
		time.Sleep(3 * time.Minute)
		s.state(2, 3, "silences")
		stop()
		s.own = s.want
		stop = s.run()
		time.Sleep(time.Second)
		s.state(2, 3, "silences")
		stop()
	})
}

// A gateway that was replaced is no fault of a configuration.
func TestFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := New(Options{Make: func(bus.GatewayConfig) (*Candidate, error) {
			return &Candidate{Run: func(context.Context) error { return fmt.Errorf("another: %w", faultline.ErrFenced) }}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Run(t.Context()); !errors.Is(err, faultline.ErrFenced) {
			t.Error(err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"works":{"version":1,"body":"x"},"refused":{"version":2},"why":"y","tried":true}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parse("x.json", data)
		if err != nil && (k != kept{} || !errors.Is(err, faultline.ErrInvalid)) {
			t.Errorf("%+v %v", k, err)
		}
	})
}
