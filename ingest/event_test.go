package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// flaky fails when it is told to: before writing, or after it.
type flaky struct {
	Writer
	before, after bool
}

var errAway = errors.New("connection refused")

func (f *flaky) WriteIn(ctx context.Context, policy string, lines []byte) error {
	if f.before {
		return errAway
	}
	if err := f.Writer.WriteIn(ctx, policy, lines); err != nil || !f.after {
		return err
	}
	return errAway
}

// TestEventsReachTheRealEngineOnce writes events of one moment with InfluxDB away, then with its answer
// lost, then once more.
func TestEventsReachTheRealEngineOnce(t *testing.T) {
	const year = 365 * 24 * time.Hour
	client := engineWith(t, tsdb.Config{Retention: 24 * time.Hour, Tiers: tsdb.Tiers(year, 5*year)})
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	now := time.Now().Truncate(time.Second)
	for _, rule := range []string{"hot", "loud"} {
		a := faultline.Alarm{ID: faultline.AlarmID("plant", "P-1", rule), Site: "plant", Position: "P-1", Rule: rule, Title: "Pump " + rule, Count: 1}
		var events []faultline.AlarmEvent
		for _, tr := range []string{faultline.TransitionRaised, faultline.TransitionAcknowledged, faultline.TransitionCleared} {
			events = append(events, faultline.AlarmEvent{Alarm: a.ID, At: now, StoredAt: now, Transition: tr, Severity: faultline.SeverityWarning, Why: `97.2 °C, "hot"`})
		}
		// The readings of that time have expired; events are kept for longer.
		events = append(events, faultline.AlarmEvent{Alarm: a.ID, At: now.AddDate(-2, 0, 0), Transition: faultline.TransitionRaised, Severity: faultline.SeverityCritical})
		events = append(events, faultline.AlarmEvent{Alarm: a.ID, At: now.AddDate(-9, 0, 0), Transition: faultline.TransitionRaised})
		if err := s.ImportAlarm(t.Context(), a, events); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 { // tickets of one moment and place
		ticket := faultline.Ticket{ID: fmt.Sprint("t", i), Kind: faultline.TicketInspection, Status: faultline.StatusNew, Priority: faultline.P2, Site: "plant", Position: "P-1", Title: "Service", ReceivedAt: now}
		if _, err := s.AddTicket(t.Context(), ticket, []faultline.TicketEvent{
			{At: now, By: "rules", Kind: faultline.EventOpened, Text: "due"}, {At: now, By: "ann", Kind: faultline.EventComment, Text: "among us"},
			{At: now, By: "ann", Kind: faultline.EventMoved, From: "new", To: "triaged"},
		}, nil); err != nil {
			t.Fatal(err)
		}
	}
	lease, err := s.Acquire(t.Context(), "rules", 0, "test", time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tx(t.Context(), lease, func(tx *store.Tx) error {
		return tx.AddForecast(faultline.Forecast{Site: "plant", Position: "P-1", Rule: "wears", Point: "vibration", At: now, P10: 100, P50: 150, P90: faultline.Never, Model: "linear", Level: 4, Limit: 7.1})
	}); err != nil {
		t.Fatal(err)
	}
	influx := &flaky{Writer: client, before: true}
	r := Recorder{Store: s, Influx: influx, Owner: "test", Registry: prometheus.NewRegistry(), Every: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil { // prepares
		t.Fatal(err)
	}
	for _, f := range []struct{ before, after, fails bool }{{true, false, true}, {false, true, true}, {false, false, false}, {false, false, false}} {
		influx.before, influx.after = f.before, f.after
		if err := r.turn(t.Context()); (err != nil) != f.fails {
			t.Fatalf("%+v: %v", f, err)
		}
	}
	answer, err := client.Query(t.Context(), `SELECT "title", "text", "tags", "ref" FROM "h1"."faultline_events" WHERE time > `+tsdb.Time(now.AddDate(-3, 0, 0)), nil)
	if err != nil || len(answer) != 1 {
		t.Fatalf("%+v: %v", answer, err)
	}
	seen := map[string]int{}
	for _, row := range answer[0].Rows {
		seen[fmt.Sprint(row[1:]...)]++
	}
	all := 0
	for text, n := range seen {
		all += n
		if n != 1 || strings.Contains(text, "among us") {
			t.Errorf("%d times %s", n, text)
		}
	}
	if all != 2*4+3*2 {
		t.Errorf("%d events are in InfluxDB: %v", all, seen)
	}
	if want := fmt.Sprint("Pump hot", `97.2 °C, "hot"`, "alarm,raised,warning,plant,P-1", "plant/P-1/hot"); seen[want] != 1 {
		t.Errorf("no %q in %v", want, seen)
	}
	said, err := client.Query(t.Context(), `SELECT "p10", "p50", "model" FROM "h1"."faultline_forecasts" WHERE "rule" = 'wears'`, nil)
	if err != nil || len(said) != 1 || len(said[0].Rows) != 1 || fmt.Sprint(said[0].Rows[0][1:]) != "[100 150 linear]" {
		t.Errorf("forecasts in InfluxDB: %+v, %v", said, err)
	}
	if n := testutil.ToFloat64(r.written.WithLabelValues("refused")); n != 0 {
		t.Errorf("%v were refused", n)
	}
	if n := testutil.ToFloat64(r.written.WithLabelValues("expired")); n != 2 {
		t.Errorf("%v had expired, want 2", n)
	}
}
