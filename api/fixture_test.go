package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// noon is the fixture's now.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// fakeSeries answers with waves.
type fakeSeries struct {
	mu     sync.Mutex
	err    error
	asked  []tsdb.HistoryQuery
	latest map[string]faultline.Frame
	madeUp map[string]time.Time
	past   int // how often MadeUpUntil was asked
}

func (f *fakeSeries) History(_ context.Context, q tsdb.HistoryQuery) ([]tsdb.PointHistory, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, q)
	if f.err != nil {
		return nil, f.err
	}
	var out []tsdb.PointHistory
	for k, p := range q.Points {
		h := tsdb.PointHistory{Point: p, Step: q.To.Sub(q.From) / 120}
		for i := range 120 {
			v := 60 + 8*math.Sin(float64(i)/9+float64(k)) + 2*math.Sin(float64(i)*1.7)
			h.At = append(h.At, q.From.Add(time.Duration(i)*h.Step))
			quality := faultline.Good
			if i >= 40 && i < 46 {
				quality, v = faultline.BadTimeout, math.NaN()
			}
			h.Value, h.Min, h.Max, h.Quality = append(h.Value, v), append(h.Min, v-2), append(h.Max, v+2.5), append(h.Quality, quality)
		}
		out = append(out, h)
	}
	return out, nil
}

func (f *fakeSeries) Latest(_ context.Context, _, site, position string) (faultline.Frame, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return faultline.Frame{}, f.err
	}
	if l, ok := f.latest[site+"/"+position]; ok {
		return l, nil
	}
	return faultline.Frame{}, faultline.ErrNotFound
}

func (f *fakeSeries) MadeUpUntil(_ context.Context, _, site, position string) (time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.past++
	return f.madeUp[site+"/"+position], f.err
}

func (f *fakeSeries) Ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// fakeBus keeps what was sent and passes on what a test publishes.
type fakeBus struct {
	mu     sync.Mutex
	sent   []faultline.Command
	result faultline.CommandResult
	err    error
	events []faultline.Event
	orders []faultline.WriteOrder
	told   faultline.WriteAnswer // of orders

	live   chan faultline.Frame
	change chan faultline.Event
}

func newFakeBus() *fakeBus {
	return &fakeBus{result: faultline.CommandResult{OK: true, Message: "acknowledged"}, told: faultline.WriteAnswer{Status: faultline.WriteWritten, Old: []byte("40"), ReadBack: []byte("5"), Message: "written, and read back as 5"}, live: make(chan faultline.Frame), change: make(chan faultline.Event)}
}

func (b *fakeBus) Send(_ context.Context, c faultline.Command) (faultline.CommandResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, c)
	return b.result, b.err
}

func (b *fakeBus) Order(_ context.Context, _, _ string, o faultline.WriteOrder) faultline.WriteAnswer {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orders = append(b.orders, o)
	a := b.told
	a.ID = o.ID
	return a
}

func (b *fakeBus) SubscribeLive(ctx context.Context, give func(faultline.Frame)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-b.live:
			give(f)
		}
	}
}

func (b *fakeBus) SubscribeEvents(ctx context.Context, give func(faultline.Event)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-b.change:
			give(e)
		}
	}
}

func (b *fakeBus) PublishEvent(e faultline.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	return nil
}

func (b *fakeBus) commands() []faultline.Command {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]faultline.Command(nil), b.sent...)
}

// fixture is a server over a real SQLite store with a small fleet.
type fixture struct {
	*Server
	store    *store.Store
	series   *fakeSeries
	bus      *fakeBus
	registry *prometheus.Registry
}

func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "f.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	f := &fixture{store: s, series: &fakeSeries{}, bus: newFakeBus(), registry: prometheus.NewRegistry()}
	o := Options{Store: s, Replay: f.replayed, Series: f.series, Commands: f.bus, Live: f.bus, Orders: f.bus, Registry: f.registry, Version: "test", Location: time.UTC}
	for _, c := range change {
		c(&o)
	}
	if f.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	f.now = func() time.Time { return noon }
	return f
}

// replayed takes letters with an even sequence, and refuses the others.
func (f *fixture) replayed(ctx context.Context, letters []faultline.DeadLetter) (written []int64, refused map[int64]string, err error) {
	refused = map[int64]string{}
	for _, d := range letters {
		if d.Sequence%2 != 0 {
			refused[d.ID] = d.Reason
			continue
		}
		written = append(written, d.ID)
	}
	_, err = f.store.ForgetDeadLetters(ctx, written...)
	return written, refused, err
}

// answered is an answer of the server.
type answered struct {
	code   int
	body   string
	header http.Header
}

// do asks the handler as a browser on this machine would.
func (f *fixture) do(method, path, body string, change ...func(*http.Request)) answered {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return answered{w.Code, w.Body.String(), w.Header()}
}

func (f *fixture) get(path string) answered { return f.do(http.MethodGet, path, "") }

// form posts a form as a page of ours would.
func (f *fixture) form(path, body string) answered {
	return f.do(http.MethodPost, path, body, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	})
}

// decode reads the body of an answer.
func decode[T any](t testing.TB, a answered) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(a.body))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%d %s: %v", a.code, a.body, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one value: %s", a.body)
	}
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// populate fills the store with two sites, four assets, alarms, tickets and all else that pages show.
func (f *fixture) populate(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	now := f.now()
	must(t, f.store.PutSite(ctx, faultline.Site{ID: "plant-3", Name: "Plant 3, Harbour Road", Customer: "Nordsee Foods"}))
	must(t, f.store.PutSite(ctx, faultline.Site{ID: "clinic", Name: "St Anne Clinic", Customer: "St Anne"}))
	pump := faultline.Position{Site: "plant-3", ID: "P-101", Name: "Feed pump", Kind: "centrifugal_pump", Gateway: "gw-1", Profile: "pump@1", Address: "127.0.0.1:1502/1",
		Asset: faultline.Asset{Serial: "CP-4711-09", Model: "KX 80-250", Manufacturer: "Meridian", Criticality: "A", ProductKind: "industrial", Commissioned: now.AddDate(-1, 0, 0)},
		Points: []faultline.Point{
			{Name: "bearing_temperature", Title: "Bearing temperature", Unit: "°C", Type: faultline.TypeFloat, Trend: true},
			{Name: "discharge_pressure", Title: "Discharge pressure", Unit: "bar", Type: faultline.TypeFloat, Trend: true},
			{Name: "motor_current", Title: "Motor current", Unit: "A", Type: faultline.TypeFloat, Trend: true},
			{Name: "vibration", Title: "Vibration", Unit: "mm/s", Type: faultline.TypeFloat, Trend: true},
			{Name: "running_hours", Title: "Running hours", Unit: "h", Type: faultline.TypeInt},
			{Name: "alarm_word", Title: "Alarms of the device", Type: faultline.TypeInt, Bits: true, Texts: map[int64]string{0: "overtemperature", 3: "dry run"}},
			{Name: "state", Title: "State", Type: faultline.TypeInt, Texts: map[int64]string{1: "running", 2: "stopped"}},
			{Name: "speed_setpoint", Title: "Speed", Unit: "%", Type: faultline.TypeFloat, Write: &faultline.Writable{Min: new(0.0), Max: new(100.0), Step: 0.5}},
			{Name: "run_command", Title: "Run", Type: faultline.TypeBool, Write: &faultline.Writable{FourEyes: true}},
		}}
	must(t, f.store.PutPosition(ctx, pump))
	for _, p := range []faultline.Position{
		{Site: "plant-3", ID: "C-201", Name: "Screw compressor", Kind: "screw_compressor", Gateway: "gw-1", Asset: faultline.Asset{Model: "SC 37", Criticality: "B"}, Points: []faultline.Point{{Name: "outlet_pressure", Title: "Outlet pressure", Unit: "bar", Type: faultline.TypeFloat, Trend: true}}},
		{Site: "plant-3", ID: "E-401", Name: "Main meter", Kind: "power_meter", Gateway: "gw-1", Points: []faultline.Point{{Name: "power", Title: "Power", Unit: "kW", Type: faultline.TypeFloat, Trend: true}}},
		{Site: "clinic", ID: "U-1", Name: "UPS operating theatre", Kind: "ups", Gateway: "gw-2", Asset: faultline.Asset{Serial: "UPS-77", ProductKind: "electronics", Purchased: now.AddDate(0, -3, 0)}, Points: []faultline.Point{{Name: "charge", Title: "Charge", Unit: "%", Type: faultline.TypeFloat, Trend: true}}},
	} {
		must(t, f.store.PutPosition(ctx, p))
	}
	must(t, f.store.PutContract(ctx, faultline.Contract{ID: "SC-12", Name: "Full service", Customer: "Nordsee Foods", From: now.AddDate(-1, 0, 0), Until: now.AddDate(0, 0, 24), Version: 2, MadeUp: true}))
	must(t, f.store.TouchGateway(ctx, faultline.Gateway{ID: "gw-1", Site: "plant-3", LastSeen: now}))
	must(t, f.store.TouchGateway(ctx, faultline.Gateway{ID: "gw-2", Site: "clinic", LastSeen: now.Add(-time.Hour)}))
	limits := []faultline.Limit{{Name: "high", Value: 85, Severity: faultline.SeverityWarning}, {Name: "high-high", Value: 95, Severity: faultline.SeverityCritical}}
	must(t, f.store.ReplaceRuleInstances(ctx, []faultline.RuleInstance{{Site: "plant-3", Position: "P-101", Rule: "bearing-temperature", Version: 3, Title: "Bearing temperature high", Kind: "threshold", Point: "bearing_temperature", Unit: "°C", FailureMode: "overheating", Family: "bearing", Limits: limits, OnDelay: 5 * time.Second, OffDelay: 30 * time.Second, DeadBand: 2, Check: []string{"Feel whether the bearing housing is hot; look for blue grease.", "Compare the vibration with last month's.", "Check the coupling's alignment."}, Suggest: "on_site"}}))
	must(t, f.store.PutPlan(ctx, faultline.Plan{ID: "pump-2000h", Title: "2000 h service", AssetKind: "centrifugal_pump", Meter: "running_hours", Every: 2000, Unit: "h", Window: 14 * 24 * time.Hour, Jobs: []string{"Grease both bearings", "Check the seal for leaks", "Read vibration at full load"}}))

	rise := faultline.Evidence{Alarm: "plant-3/P-101/bearing-temperature", At: now.Add(-3 * time.Minute), Point: "bearing_temperature", Unit: "°C", Rule: "bearing-temperature", RuleVersion: 3, Kind: "threshold", Limits: limits,
		Why: "Bearing temperature 97.2 °C above its high-high limit of 95 °C for 5 s"}
	for i := range 120 {
		v := 63 + 2*math.Sin(float64(i)/6) + math.Max(0, float64(i)-60)*0.6
		sample := faultline.EvidenceSample{At: rise.At.Add(time.Duration(i-115) * time.Second), Value: &v, Quality: faultline.Good}
		if i > 20 && i < 27 {
			sample.Value, sample.Quality = nil, faultline.BadTimeout
		}
		rise.Samples = append(rise.Samples, sample)
	}
	f.addTicket(t, faultline.Ticket{ID: "fault-1", Kind: faultline.TicketFault, Status: faultline.StatusNew, Priority: faultline.P1, Urgency: 3, Site: "plant-3", Position: "P-101", Serial: "CP-4711-09", Rule: "bearing-temperature", RuleVersion: 3,
		FailureMode: "overheating", Family: "bearing", Keys: []string{"plant-3|P-101|bearing-temperature|overheating"}, Title: "Bearing temperature high", Text: "The drive-end bearing heats up although load is normal.", Suggest: "on_site", Maintenance: faultline.Corrective,
		Coverage: faultline.Coverage{State: faultline.InContract, Term: "contract SC-12 (Full service)", Until: now.AddDate(0, 0, 24)}, EventAt: rise.At, ReceivedAt: now.Add(-2 * time.Minute), LastAlarmAt: rise.At, Count: 2},
		[]faultline.TicketEvent{{At: now.Add(-2 * time.Minute), By: "rules", Kind: faultline.EventOpened, Text: rise.Why}, {At: now.Add(-time.Minute), By: "rules", Kind: faultline.EventJoined, Text: "vibration 7.4 mm/s above its high limit of 7.1 mm/s"}}, []faultline.Evidence{rise})
	f.addTicket(t, faultline.Ticket{ID: "inspection-1", Kind: faultline.TicketInspection, Status: faultline.StatusInProgress, Priority: faultline.P3, Urgency: 1, Site: "plant-3", Position: "P-101", Plan: "pump-2000h", Cycle: 4, Keys: []string{"plant-3|P-101|pump-2000h|4"},
		Title: "2000 h service of P-101", Text: "8 004 running hours: 2000 h service is due", Suggest: "on_site", Maintenance: faultline.Predetermined, ReceivedAt: now.Add(-26 * time.Hour), Count: 1}, nil, nil)
	f.addTicket(t, faultline.Ticket{ID: "old-1", Kind: faultline.TicketFault, Status: faultline.StatusClosed, Priority: faultline.P2, Urgency: 2, Site: "clinic", Position: "U-1", Rule: "battery", FailureMode: "battery_worn", Title: "Battery capacity low", MadeUp: true,
		ReceivedAt: now.AddDate(0, 0, -9), Course: []faultline.Turn{{At: now.AddDate(0, 0, -9).Add(time.Hour), Kind: faultline.EventResponse}, {At: now.AddDate(0, 0, -8), Kind: faultline.EventSolution}}, ResolvedAt: now.AddDate(0, 0, -8), ClosedAt: now.AddDate(0, 0, -8), Resolution: faultline.Resolution{Outcome: "solved", Cause: "age", Words: "New batteries"}, Count: 1}, nil, nil)

	for _, a := range []faultline.Alarm{
		{Site: "plant-3", Position: "P-101", Rule: "bearing-temperature", RuleVersion: 3, Title: "Bearing temperature high", Active: true, Severity: faultline.SeverityCritical, Why: rise.Why, RaisedAt: rise.At, Count: 1, Ticket: "fault-1"},
		{Site: "plant-3", Position: "P-101", Rule: "vibration", RuleVersion: 1, Title: "Vibration high", Active: true, Acked: true, AckedBy: "local", Severity: faultline.SeverityWarning, Why: "vibration 7.4 mm/s above its high limit of 7.1 mm/s", RaisedAt: now.Add(-time.Minute), Count: 3, Ticket: "fault-1", Chattering: true},
		{Site: "plant-3", Position: "C-201", Rule: "pressure", RuleVersion: 1, Title: "Outlet pressure low", Severity: faultline.SeverityWarning, Why: "outlet pressure 5.8 bar below its low limit of 6 bar", RaisedAt: now.Add(-time.Hour), ClearedAt: now.Add(-50 * time.Minute), Count: 1},
	} {
		a.ID = faultline.AlarmID(a.Site, a.Position, a.Rule)
		must(t, f.store.ImportAlarm(ctx, a, []faultline.AlarmEvent{{Alarm: a.ID, At: a.RaisedAt, StoredAt: a.RaisedAt, Transition: faultline.TransitionRaised, Severity: a.Severity, Why: a.Why}}))
	}
	f.inTx(t, func(tx *store.Tx) error {
		return errors.Join(
			tx.PutInspection(faultline.Inspection{Site: "plant-3", Position: "P-101", Plan: "pump-2000h", Cycle: 4, Status: faultline.InspectionDue, DueAt: now.Add(-15 * 24 * time.Hour), Until: now.Add(-24 * time.Hour), Reading: 8004, Ticket: "inspection-1"}),
			tx.PutLedger(faultline.LedgerRow{Site: "plant-3", Gateway: "gw-1", Epoch: "ABCD", First: 1, Last: 12000, Delivered: 11998, Missing: 2, Late: 4, LastAt: now, Gaps: []faultline.Gap{{From: 7, To: 8, Noticed: now, Before: now.Add(-2 * time.Minute), After: now.Add(-time.Minute)}}}),
			tx.AddDeadLetter(faultline.DeadLetter{At: now, Site: "plant-3", Gateway: "gw-1", Epoch: "ABCD", Sequence: 9, Line: "pump,site=x value=", Reason: "cannot be parsed"}),
		)
	})

	for id, by := range map[string]string{"W-1": "anna", "W-2": "anna", "W-3": "boss"} {
		must(t, f.store.AddWrite(ctx, faultline.Write{ID: id, Site: "plant-3", Position: "P-101", Gateway: "gw-1", Point: "run_command", Value: []byte("false"), Reason: "stop for service", Status: faultline.WritePending, FourEyes: true, AskedBy: by, AskedAt: now, ExpiresAt: now.Add(faultline.ApprovalTime)}, "stop for service"))
	}

	for i, p := range []string{"P-101", "C-201", "E-401"} {
		fr := faultline.Frame{Site: "plant-3", Position: p, Time: now.Add(-time.Duration(i+1) * time.Second)}
		switch p {
		case "P-101":
			fr.Samples = []faultline.Sample{{Point: "bearing_temperature", Value: faultline.Float(97.234), Quality: faultline.Good}, {Point: "discharge_pressure", Value: faultline.Float(4.12), Quality: faultline.UncertainOutOfRange}, {Point: "motor_current", Quality: faultline.BadIllegalAddress}, {Point: "vibration", Value: faultline.Float(7.41), Quality: faultline.Good},
				{Point: "running_hours", Value: faultline.Int(8004), Quality: faultline.Good}, {Point: "alarm_word", Value: faultline.Int(9), Quality: faultline.Good}, {Point: "state", Value: faultline.Int(1), Quality: faultline.Good}}
		case "C-201":
			fr.Samples = []faultline.Sample{{Point: "outlet_pressure", Value: faultline.Float(7.02), Quality: faultline.Good}}
		case "E-401":
			fr.Samples = []faultline.Sample{{Point: "power", Value: faultline.Float(1234.5), Quality: faultline.Good}}
		}
		f.takeFrame(fr)
	}
}

// inTx writes what only rules and ingest write.
func (f *fixture) inTx(t testing.TB, fn func(*store.Tx) error) {
	t.Helper()
	l, err := f.store.Acquire(t.Context(), "test", 0, "test", time.Hour, noon)
	must(t, err)
	must(t, f.store.Tx(t.Context(), l, fn))
	must(t, f.store.Release(t.Context(), l))
}

func (f *fixture) addTicket(t testing.TB, k faultline.Ticket, events []faultline.TicketEvent, evidence []faultline.Evidence) faultline.Ticket {
	t.Helper()
	for i := range events {
		events[i].Ticket = k.ID
	}
	for i := range evidence {
		evidence[i].Ticket = k.ID
	}
	stored, err := f.store.AddTicket(t.Context(), k, events, evidence)
	if err != nil {
		t.Fatal(fmt.Errorf("ticket %s: %w", k.ID, err))
	}
	return stored
}
