package ingest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
	"github.com/faultline-iot/faultline/internal/tsdb/embedded"
)

// engine opens the embedded engine and a client that has set it up.
func engine(t testing.TB, retention time.Duration) *tsdb.Client {
	t.Helper()
	return engineWith(t, tsdb.Config{Retention: retention})
}

func engineWith(t testing.TB, cfg tsdb.Config) *tsdb.Client {
	t.Helper()
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg.URL, cfg.Token = e.URL(), e.Token()
	c, err := tsdb.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWithTheRealEngineAndSQLite brings frames with every kind of trouble through the real client,
// engine and store, restarting the role now and then.
func TestWithTheRealEngineAndSQLite(t *testing.T) {
	client := engine(t, 24*time.Hour)
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r := newRig()
	r.cfg.Store, r.cfg.Influx, r.cfg.MaxWait = SQL(s), client, 20*time.Millisecond
	now := time.Now().Truncate(time.Second)
	reach := func(sequence uint64) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for r.ing.Reached(0).Sequence < sequence {
			if time.Now().After(deadline) {
				t.Fatalf("at %v after 20 s, want %d; ready: %v", r.ing.Reached(0), sequence, r.ing.Ready())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	r.start(t)
	for i := range 2000 {
		r.add(r.frame("g1", now.Add(time.Duration(i)*time.Millisecond)))
	}
	reach(2000)
	r.stop()
	conflict := r.frame("g1", now.Add(3*time.Second))
	conflict.Payload = []byte(strings.Replace(string(conflict.Payload), " v=2001,", " v=2001i,", 1)) // an integer now
	mixed := r.frame("g1", now.Add(4*time.Second))
	r.add(conflict, mixed, mixed, frame("g1", 2005, now.Add(5*time.Second)), frame("g1", 2006, now.Add(-48*time.Hour)), heartbeat("g1", 2007))
	r.start(t)
	reach(2006)
	r.stop()

	n, err := client.Count(t.Context(), tsdb.CountWhere{})
	if err != nil || n.Values != 2002 || n.ByKind["pump"] != 2002 {
		t.Errorf("InfluxDB holds %+v (%v), want 2002 values", n, err)
	}
	letters, total, err := s.DeadLetters(t.Context(), 10, 0)
	if err != nil || total != 1 || letters[0].Sequence != 2001 || !strings.Contains(letters[0].Reason, "field type conflict") || letters[0].Line != string(conflict.Payload) {
		t.Errorf("%d dead letters: %+v (%v)", total, letters, err)
	}
	rows, err := s.LedgerRows(t.Context())
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows (%v)", len(rows), err)
	}
	row := rows[0]
	if row.Delivered != 2003 || row.Duplicate != 1 || row.Missing != 3 || row.Expired != 1 || row.Dead != 1 || fmt.Sprint(ranges(row.Gaps)) != "[{2003 2004} {2007 2007}]" {
		t.Errorf("%+v", row)
	}
	balanced(t, &row)
	gateways, err := s.Gateways(t.Context())
	if err != nil || len(gateways) != 1 || gateways[0].ID != "g1" {
		t.Errorf("gateways %+v (%v)", gateways, err)
	}
	shown, err := client.Query(t.Context(), `SELECT last(delivered), last(missing) FROM faultline_ledger WHERE "gateway" = 'g1'`, nil)
	if err != nil || len(shown) != 1 || shown[0].Rows[0][1] != int64(2003) || shown[0].Rows[0][2] != int64(3) {
		t.Errorf("ledger in InfluxDB: %+v (%v)", shown, err)
	}
}

// TestWithTheRealBus publishes through the hub while the role is started and stopped: every frame is
// delivered once, and heartbeats never claim what has not come.
func TestWithTheRealBus(t *testing.T) {
	server, err := bus.StartServer(bus.ServerConfig{Dir: t.TempDir(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	conn, err := server.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	hub, err := conn.OpenHub(t.Context(), bus.HubConfig{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := hub.Publisher(t.Context(), "s1", "g1")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig()
	r.cfg.Hub, r.cfg.MaxWait = hub, 20*time.Millisecond
	now := time.Now()
	const runs, each = 4, 50
	for i := range runs {
		r.start(t)
		for j := range each {
			f := faultline.Frame{Kind: "pump", Site: "s1", Position: "P-1", Gateway: "g1", Time: now.Add(time.Duration(i*each+j) * time.Millisecond),
				Samples: []faultline.Sample{{Point: "v", Value: faultline.Float(1), Quality: faultline.Good}}}
			if err := p.Publish(t.Context(), f, bus.Meta{Profile: "pump@1"}); err != nil {
				t.Fatal(err)
			}
			if err := p.Heartbeat(t.Context(), faultline.Heartbeat{Site: "s1", Gateway: "g1", At: now}); err != nil {
				t.Fatal(err)
			}
		}
		if i < runs-1 {
			r.stop() // wherever it is
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	state, err := hub.State(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); r.ing.Reached(0).Sequence < state.Last; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("at %v after 20 s, want %d; ready: %v", r.ing.Reached(0), state.Last, r.ing.Ready())
		}
	}
	r.stop()
	row := r.rows["g1/"+p.Epoch()]
	if r.count() != runs*each || row.Delivered != runs*each || row.Last != p.Last() || row.Missing+row.Duplicate+row.Late+row.Dead != 0 || row.First != 1 {
		t.Errorf("%d points, %+v", r.count(), row)
	}
	if r.at().Stream != hub.Stream(0) {
		t.Errorf("place %v in stream %s", r.at(), hub.Stream(0))
	}
}

// BenchmarkIngest is the way of a frame of 20 points from the source through check and ledger into the
// embedded engine and SQLite.
func BenchmarkIngest(b *testing.B) {
	client := engine(b, 0)
	for _, size := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s, err := store.Open(b.Context(), store.Config{URL: "sqlite:" + filepath.Join(b.TempDir(), "test.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			ing, err := New(Config{Partitions: []int{0}, Hub: newStream(), Store: SQL(s), Influx: client, Owner: "me"})
			if err != nil {
				b.Fatal(err)
			}
			p := ing.partitions[0]
			lease, err := p.cfg.Store.Lease(b.Context(), 0, "me", time.Hour, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			f := newFlusher(p, lease, faultline.Place{})
			at := time.Now().Add(-time.Hour)
			batch := make([]faultline.Message, size)
			seq := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for i := range batch {
					seq++
					batch[i] = wide(seq, i%50, at.Add(time.Duration(seq)*time.Millisecond))
				}
				b.StartTimer()
				if err := f.deal(b.Context(), batch, false); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/frame")
			b.ReportMetric(float64(b.N*size*20)/b.Elapsed().Seconds(), "values/s")
		})
	}
}

// BenchmarkCheck is validation alone.
func BenchmarkCheck(b *testing.B) {
	var c checker
	m := wide(1, 1, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.check(&m); err != nil {
			b.Fatal(err)
		}
	}
}

// wide is a frame of 20 points of one of several positions.
func wide(seq uint64, position int, at time.Time) faultline.Message {
	line := fmt.Appendf(nil, "pump,gateway=g1,position=P-%d,site=s1 ", position)
	for i := range 20 {
		if i > 0 {
			line = append(line, ',')
		}
		line = fmt.Appendf(line, "point_%d=%d.5", i, (seq+uint64(i))%1000)
	}
	return faultline.Message{
		Place: faultline.Place{Stream: "s-1", Sequence: seq}, StoredAt: at, Kind: faultline.KindFrame, Site: "s1", Position: fmt.Sprintf("P-%d", position),
		ID: faultline.FrameID{Gateway: "g1", Epoch: "e1", Sequence: seq}, Payload: fmt.Appendf(line, " %d", at.UnixNano()),
	}
}
