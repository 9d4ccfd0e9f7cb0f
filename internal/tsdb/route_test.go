package tsdb

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// database is a server that keeps what is written to it, or answers with another status.
type database struct {
	mu     sync.Mutex
	status int
	body   string
}

func (d *database) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status != 0 {
		http.Error(w, "not now", d.status)
		return
	}
	d.body += string(b) + "\n"
	w.WriteHeader(http.StatusNoContent)
}

func (d *database) answer(status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status = status
}

func (d *database) has() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.body
}

func client(t *testing.T, url string) *Client {
	t.Helper()
	c, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Each site's lines go to its own database. One that is away, or refuses connections, keeps nothing from the others, and
// a line that is refused for good is not called so while another database is away.
func TestRouterWritesEachSiteToItsDatabase(t *testing.T) {
	main, south := &database{}, &database{}
	a, b := httptest.NewServer(main), httptest.NewServer(south)
	defer a.Close()
	defer b.Close()
	r := NewRouter(client(t, a.URL), map[string]*Client{"south": client(t, b.URL)})
	lines := []byte("pump,gateway=g,position=P-1,site=north v=1 1\npump,gateway=g,position=P-2,site=south v=2 2\npump,gateway=g,position=P-3,site=north v=3 3")
	write := func() error { return r.Write(context.Background(), lines) }
	if err := write(); err != nil {
		t.Fatal(err)
	}
	if has := main.has(); strings.Contains(has, "south") || !strings.Contains(has, "v=1") || !strings.Contains(has, "v=3") {
		t.Errorf("the main database has %q", has)
	}
	if has := south.has(); strings.Contains(has, "north") || !strings.Contains(has, "v=2") {
		t.Errorf("the south's database has %q", has)
	}
	before := len(main.has())
	south.answer(http.StatusServiceUnavailable)
	if err := write(); err == nil || IsPermanent(err) || len(main.has()) <= before {
		t.Errorf("one away: %v", err)
	}
	main.answer(http.StatusBadRequest)
	if err := write(); err == nil || IsPermanent(err) {
		t.Errorf("one refuses a line, the other is away: %v", err)
	}
	south.answer(0)
	if err := write(); !IsPermanent(err) {
		t.Errorf("one refuses a line: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	main.answer(0)
	r = NewRouter(client(t, a.URL), map[string]*Client{"south": client(t, "http://"+nobody)})
	before = len(main.has())
	if err := write(); err == nil || IsPermanent(err) || !strings.Contains(err.Error(), nobody) || len(main.has()) <= before {
		t.Errorf("one refuses connections: %v", err)
	}
	if r.For("south") == r.Client || r.For("north") != r.Client {
		t.Error("a site is asked elsewhere than it is written")
	}
}

// Every database says what its tiers are for, once, also while another one is away.
func TestRouterShowsTiersEverywhere(t *testing.T) {
	main, south := &database{}, &database{}
	a, b := httptest.NewServer(main), httptest.NewServer(south)
	defer a.Close()
	defer b.Close()
	tiered := func(url string) *Client {
		c := client(t, url)
		c.cfg.Tiers = Tiers(0, 0)
		return c
	}
	other := tiered(b.URL)
	r := NewRouter(tiered(a.URL), map[string]*Client{"south": other, "west": other})
	main.answer(http.StatusServiceUnavailable)
	if err := r.ShowTiers(t.Context(), time.Now()); err == nil {
		t.Error("no error, though a database is away")
	}
	if n := strings.Count(south.has(), TierList+" "); n != 3 {
		t.Errorf("%d points of three tiers: %s", n, south.has())
	}
}
