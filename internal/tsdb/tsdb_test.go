package tsdb_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
)

// open gives a client of a fresh embedded engine with its database made by Setup.
func open(t testing.TB, retention time.Duration) (*tsdb.Client, *embedded.Engine) {
	t.Helper()
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir(), RetentionCheck: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	c := client(t, tsdb.Config{URL: e.URL(), Token: e.Token(), Retention: retention})
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, e
}

func client(t testing.TB, cfg tsdb.Config) *tsdb.Client {
	t.Helper()
	c, err := tsdb.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func write(t testing.TB, c *tsdb.Client, lines ...string) {
	t.Helper()
	if err := c.Write(t.Context(), []byte(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
}

func TestWriteAndQueryKeepTimeAndType(t *testing.T) {
	c, _ := open(t, 0)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	write(t, c, fmt.Sprintf(`pump,gateway=g1,position=P-101,site=s1 big=9223372036854775807i,half=0.5,on=true,text="a \"b\" \\ c",whole=5 %d`, at.UnixNano()))
	got, err := c.Query(t.Context(), `SELECT big,half,"on","text",whole FROM pump WHERE site = $site`, map[string]any{"site": "s1"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || len(got[0].Rows) != 1 {
		t.Fatalf("got %+v, want one row", got)
	}
	want := []any{at, int64(math.MaxInt64), 0.5, true, `a "b" \ c`, int64(5)}
	if !slices.Equal(got[0].Rows[0], want) {
		t.Errorf("row %#v, want %#v", got[0].Rows[0], want)
	}
	if _, err := c.Query(t.Context(), `SELECT FROM`, nil); err == nil || !tsdb.IsPermanent(err) {
		t.Errorf("a query that does not parse gives %v", err)
	}
	if _, err := c.Query(t.Context(), `SELECT sum("text") FROM pump`, nil); err == nil {
		t.Error("a statement that fails in the executor gives no error")
	}
}

func TestSetupIsIdempotentAndFollowsTheConfiguration(t *testing.T) {
	c, e := open(t, 48*time.Hour)
	policies := func() string {
		s, err := c.Query(t.Context(), `SHOW RETENTION POLICIES ON faultline`, nil)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(s[0].Rows)
	}
	if got, want := policies(), "[[raw 48h0m0s 24h0m0s 1 true]]"; got != want {
		t.Errorf("policies %s, want %s", got, want)
	}
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	longer := client(t, tsdb.Config{URL: e.URL(), Token: e.Token(), Retention: 90 * 24 * time.Hour})
	if err := longer.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := policies(), "[[raw 2160h0m0s 168h0m0s 1 true]]"; got != want {
		t.Errorf("policies %s, want %s", got, want)
	}
}

func TestSetupRunsAgainWhenTheDatabaseIsGone(t *testing.T) {
	c, _ := open(t, 0)
	if _, err := c.Query(t.Context(), `DROP DATABASE faultline`, nil); err != nil {
		t.Fatal(err)
	}
	line := []byte(fmt.Sprintf("pump v=1 %d", time.Now().UnixNano()))
	if err := c.Write(t.Context(), line); err == nil || tsdb.IsPermanent(err) {
		t.Fatalf("a write without its database gives %v, want an error that is not the lines'", err)
	}
	if err := c.Write(t.Context(), line); err != nil {
		t.Fatalf("the repeated write: %v", err)
	}
}

func TestExpiredDataIsRefusedAndRemoved(t *testing.T) {
	c, e := open(t, 0)
	old := time.Now().Add(-10 * 24 * time.Hour)
	write(t, c, fmt.Sprintf("pump,site=s1 v=1 %d", old.UnixNano()), fmt.Sprintf("pump,site=s1 v=2 %d", time.Now().UnixNano()))
	count := func() int64 {
		n, err := c.Count(t.Context(), tsdb.CountWhere{})
		if err != nil {
			t.Fatal(err)
		}
		return n.Values
	}
	if n := count(); n != 2 {
		t.Fatalf("%d values, want 2", n)
	}
	day := client(t, tsdb.Config{URL: e.URL(), Token: e.Token(), Retention: 24 * time.Hour})
	if err := day.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := c.Write(t.Context(), []byte(fmt.Sprintf("pump,site=s1 v=3 %d\npump,site=s1 v=4 %d", old.UnixNano(), time.Now().UnixNano())))
	if !tsdb.IsExpired(err) || !tsdb.IsPermanent(err) {
		t.Errorf("writing expired data gives %v", err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for count() != 2 { // 2 and 4 are left
		if time.Now().After(deadline) {
			t.Fatalf("%d values after 10 s of retention, want 2", count())
		}
	}
}

func TestBadLinesArePermanentAndTheOthersStay(t *testing.T) {
	c, _ := open(t, 0)
	now := time.Now().UnixNano()
	write(t, c, fmt.Sprintf("pump,site=s1 v=1 %d", now))
	for name, lines := range map[string]string{
		"type conflict": fmt.Sprintf("pump,site=s1 v=2i %d\npump,site=s1 w=1 %d", now+1, now+2),
		"syntax":        fmt.Sprintf("pump,site=s1 v= %d\npump,site=s1 w=1 %d", now+1, now+3),
	} {
		if err := c.Write(t.Context(), []byte(lines)); !tsdb.IsPermanent(err) || tsdb.IsExpired(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
	}
	got, err := c.Count(t.Context(), tsdb.CountWhere{})
	if err != nil || got.Values != 3 {
		t.Errorf("%d values (%v), want 3: the good lines of a partial write stay", got.Values, err)
	}
}

func TestWhichErrorsArePermanent(t *testing.T) {
	for status, want := range map[int]bool{400: true, 401: false, 403: false, 404: false, 408: false, 413: true, 422: true, 429: false, 500: false, 503: false} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"code":"x","message":"what happened"}`, status)
		}))
		c := client(t, tsdb.Config{URL: s.URL})
		err := c.Write(t.Context(), []byte("a b=1 1"))
		if got := tsdb.IsPermanent(err); got != want || err == nil || !strings.Contains(err.Error(), "what happened") {
			t.Errorf("status %d: permanent %v, want %v (%v)", status, got, want, err)
		}
		s.Close()
	}
	c := client(t, tsdb.Config{URL: "http://127.0.0.1:1"})
	if err := c.Write(t.Context(), []byte("a b=1 1")); err == nil || tsdb.IsPermanent(err) {
		t.Errorf("no server: %v, want an error that is not permanent", err)
	}
}

func TestTheTokenIsNotInErrors(t *testing.T) {
	c := client(t, tsdb.Config{URL: "http://127.0.0.1:1", Token: "secret-token"})
	err := errors.Join(c.Write(t.Context(), []byte("a b=1 1")), c.Ping(t.Context()), c.Setup(t.Context()))
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the token is in %v", err)
	}
	if _, err := tsdb.Open(t.Context(), tsdb.Config{URL: "ftp://user:secret@host"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestAWriteEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer s.Close()
	defer close(release)
	c := client(t, tsdb.Config{URL: s.URL})
	reason := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, reason)
	defer cancel()
	if err := c.Write(ctx, []byte("a b=1 1")); !errors.Is(err, reason) || tsdb.IsPermanent(err) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

func TestCountLeavesOutMarksAndOwnMeasurements(t *testing.T) {
	c, _ := open(t, 0)
	at := time.Now().Add(-time.Hour)
	ns := at.UnixNano()
	write(t, c,
		fmt.Sprintf(`pump,site=s1 a=1,b=2i,c=true,d="x",e__q="bad:timeout" %d`, ns),
		fmt.Sprintf(`pump,site=s1 a=1,a__q="uncertain:clock" %d`, ns+1),
		fmt.Sprintf(`pump,origin=demo,site=s1 a=1,b=2i %d`, ns),
		fmt.Sprintf(`fan,site=s1 a=1 %d`, ns+2),
		fmt.Sprintf(`faultline_ledger,site=s1 delivered=1i %d`, ns),
	)
	yes, no := true, false
	for _, tc := range []struct {
		where     tsdb.CountWhere
		all, pump int64
	}{
		{tsdb.CountWhere{}, 8, 7},
		{tsdb.CountWhere{MadeUp: &yes}, 2, 2},
		{tsdb.CountWhere{MadeUp: &no}, 6, 5},
		{tsdb.CountWhere{From: at.Add(1), To: at.Add(2)}, 1, 1},
		{tsdb.CountWhere{MadeUp: &no, From: at.Add(1)}, 2, 1},
	} {
		got, err := c.Count(t.Context(), tc.where)
		if err != nil || got.Values != tc.all || got.ByKind["pump"] != tc.pump {
			t.Errorf("%+v: %+v (%v), want %d, of pumps %d", tc.where, got, err, tc.all, tc.pump)
		}
	}
}

func TestLatest(t *testing.T) {
	c, _ := open(t, 0)
	if _, err := c.Latest(t.Context(), "pump", "s1", "P-1"); !errors.Is(err, faultline.ErrNotFound) {
		t.Errorf("nothing stored: %v, want ErrNotFound", err)
	}
	at := time.Now().Add(-time.Hour).UTC()
	write(t, c,
		fmt.Sprintf(`pump,gateway=g1,position=P-1,site=s1 gone=1 %d`, at.UnixNano()),
		fmt.Sprintf(`pump,gateway=g1,position=P-1,site=s1 flow=5,flow__q="uncertain:clock",hours=7i,run=true,state="on",temp__q="bad:timeout" %d`, at.UnixNano()+1),
		fmt.Sprintf(`pump,gateway=g1,position=P-2,site=s1 flow=6 %d`, at.UnixNano()+2),
	)
	f, err := c.Latest(t.Context(), "pump", "s1", "P-1")
	if err != nil {
		t.Fatal(err)
	}
	want := faultline.Frame{Kind: "pump", Site: "s1", Position: "P-1", Gateway: "g1", Time: at.Add(1), Samples: []faultline.Sample{
		{Point: "flow", Value: faultline.Float(5), Quality: faultline.UncertainClock},
		{Point: "hours", Value: faultline.Int(7), Quality: faultline.Good},
		{Point: "run", Value: faultline.Bool(true), Quality: faultline.Good},
		{Point: "state", Value: faultline.String("on"), Quality: faultline.Good},
		{Point: "temp", Quality: faultline.BadTimeout},
	}}
	if !f.Time.Equal(want.Time) || f.Gateway != want.Gateway || !slices.Equal(f.Samples, want.Samples) {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
	if err := f.Check(); err != nil {
		t.Error(err)
	}
}

func TestMetricsAreLinted(t *testing.T) {
	r := prometheus.NewRegistry()
	c := client(t, tsdb.Config{URL: "http://127.0.0.1:1", Registry: r})
	_ = c.Write(t.Context(), []byte("a b=1 1"))
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(r, "faultline_tsdb_requests_total"); err != nil || n != 1 {
		t.Errorf("%d series of requests (%v), want 1", n, err)
	}
}
