package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// running runs the fixture's server until the test ends, and says that Run has returned without error.
func running(t *testing.T, f *fixture) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

// sse reads one stream.
type sse struct {
	t     *testing.T
	lines *bufio.Reader
	close func()
}

func open(t *testing.T, f *fixture, query string) *sse {
	t.Helper()
	resp, err := http.Get(f.URL() + base + "/events" + query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != mediaEvents {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return &sse{t, bufio.NewReader(resp.Body), func() { _ = resp.Body.Close() }}
}

// next gives the name and data of the next event; "end" when the stream ends.
func (s *sse) next() (name, data string) {
	s.t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return "end", err.Error()
		}
		line = strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(line, "event: "); ok {
			name = n
		} else if d, ok := strings.CutPrefix(line, "data: "); ok {
			data = d
		} else if line == "" && name != "" {
			return name, data
		}
	}
}

func (s *sse) wants(name, part string) {
	s.t.Helper()
	if n, d := s.next(); n != name || !strings.Contains(d, part) {
		s.t.Fatalf("event %s %s, want %s with %s", n, d, name, part)
	}
}

func TestEvents(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	stop := running(t, f)
	all, pump, clinic := open(t, f, ""), open(t, f, "?site=plant-3&position=P-101"), open(t, f, "?site=clinic")
	for _, s := range []*sse{all, pump, clinic} {
		s.wants("hello", `"version":"test"`)
	}
	f.bus.change <- faultline.Event{Topic: "ticket", ID: "fault-1", Site: "plant-3", Position: "P-101", Text: "T-000001 moved"}
	all.wants("change", `"topic":"ticket"`)
	pump.wants("change", `"id":"fault-1"`)
	f.bus.live <- faultline.Frame{Site: "plant-3", Position: "C-201", Time: noon.Add(time.Second), Samples: []faultline.Sample{{Point: "outlet_pressure", Value: faultline.Float(6.5), Quality: faultline.Good}}}
	all.wants("values", `{"site":"plant-3","position":"C-201"}`)
	f.bus.change <- faultline.Event{Topic: "alarm", ID: "x", Site: "clinic", Position: "U-1"}
	clinic.wants("change", `"topic":"alarm"`) // and nothing of the plant before it
	all.wants("change", `"topic":"alarm"`)
	p := decode[Page[map[string]any]](t, f.get("/api/v1/assets/plant-3/C-201/points")).Items[0]
	if p["value"] != 6.5 {
		t.Errorf("latest value %v", p)
	}

	stop() // ends the streams, and soon
	for _, s := range []*sse{all, pump, clinic} {
		for {
			if n, _ := s.next(); n == "end" {
				break
			}
		}
	}
}

func TestSlowReadersAreToldToLookAgain(t *testing.T) {
	a := &audience{readers: map[*reader]bool{}}
	slow, err := a.join(&caller{}, "", "")
	must(t, err)
	other, err := a.join(&caller{}, "other", "")
	must(t, err)
	for i := range 3 * maxPending {
		a.event(faultline.Event{Topic: "alarm", ID: fmt.Sprint(i), Site: "s"})
		a.heard("s", fmt.Sprint(i))
	}
	if len(slow.events) > maxPending || len(slow.values) > maxNamed+1 {
		t.Errorf("%d events and %d positions wait", len(slow.events), len(slow.values))
	}
	if events, missed := a.takeEvents(slow); !missed || events[len(events)-1].ID != fmt.Sprint(3*maxPending-1) {
		t.Error("it is not told that it missed some")
	}
	if v, _ := a.takeValues(slow, noon); !v.More || len(v.Positions) != maxNamed+1 {
		t.Errorf("%+v", v.More)
	}
	if events, missed := a.takeEvents(other); missed || len(events) > 0 {
		t.Error("it was given what it did not want")
	}
	for range maxStreams - 2 {
		_, err := a.join(&caller{}, "", "")
		must(t, err)
	}
	if _, err := a.join(&caller{}, "", ""); err == nil {
		t.Error("streams are not bounded")
	}
	a.leave(slow)
	if _, err := a.join(&caller{}, "", ""); err != nil {
		t.Error(err)
	}
}

// flaky fails each subscription after a while.
type flaky struct {
	*fakeBus
	tries int
}

func (b *flaky) SubscribeLive(ctx context.Context, _ func(faultline.Frame)) error {
	b.tries++
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	return errors.New("no responders")
}

func TestSubscriptionsAreRenewed(t *testing.T) {
	f := newFixture(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := &flaky{fakeBus: f.bus}
		r, err := f.audience.join(&caller{}, "", "")
		must(t, err)
		ended := make(chan bool)
		go func() {
			f.subscribe(ctx, "live", func(ctx context.Context) error { return b.SubscribeLive(ctx, nil) })
			close(ended)
		}()
		time.Sleep(time.Minute)
		cancel()
		<-ended
		if b.tries < 6 || b.tries > 20 {
			t.Errorf("%d tries in a minute", b.tries)
		}
		if _, missed := f.audience.takeEvents(r); !missed {
			t.Error("readers are not told that they missed something")
		}
	})
}

func TestLatest(t *testing.T) {
	l := newLatest()
	frame := func(s int, samples ...faultline.Sample) *faultline.Frame {
		return &faultline.Frame{Site: "s", Position: "p", Time: noon.Add(time.Duration(s) * time.Second), Samples: samples}
	}
	good := func(p string, v float64) faultline.Sample {
		return faultline.Sample{Point: p, Value: faultline.Float(v), Quality: faultline.Good}
	}
	l.take(frame(1, good("a", 1), good("b", 10)))
	l.take(frame(3, good("a", 3)))                                                // b is not in it, and stays
	l.take(frame(2, good("a", 2), good("b", 20)))                                 // late: news for b only
	l.take(frame(4, faultline.Sample{Point: "b", Quality: faultline.BadTimeout})) // bad: what was good is remembered
	got, at := l.readings("s", "p")
	if v, _ := got["a"].value.Number(); v != 3 || !at.Equal(noon.Add(4*time.Second)) {
		t.Errorf("a is %v, newest %s", v, at)
	}
	b := got["b"]
	if v, _ := b.good.Number(); b.quality != faultline.BadTimeout || b.value.Type() != faultline.NoType || v != 20 || !b.goodAt.Equal(noon.Add(2*time.Second)) {
		t.Errorf("b is %+v", b)
	}
	for i := range 2 * maxPoints {
		l.take(frame(5, good(fmt.Sprintf("x_%d", i), 1)))
	}
	if got, _ := l.readings("s", "p"); len(got) > maxPoints {
		t.Errorf("%d points of one position", len(got))
	}
}

func TestRate(t *testing.T) {
	l := newLatest()
	for i := range 60 {
		l.count(12, noon.Add(time.Duration(i)*time.Second))
		l.count(6, noon.Add(time.Duration(i)*time.Second))
	}
	if r := l.rate(noon.Add(60 * time.Second)); r != 18 {
		t.Errorf("%v samples/s", r)
	}
	if r := l.rate(noon.Add(10 * time.Minute)); r != 0 {
		t.Errorf("%v samples/s after all has ended", r)
	}
}

func TestSeed(t *testing.T) {
	f := newFixture(t)
	f.populate(t)
	f.series.latest = map[string]faultline.Frame{"clinic/U-1": {Time: noon.Add(-time.Hour), Samples: []faultline.Sample{{Point: "charge", Value: faultline.Float(88), Quality: faultline.Good}}}}
	positions, err := f.book.positions(t.Context())
	must(t, err)
	f.series.err = errors.New("down")
	quiet := f.latest.silent(positions)
	if len(quiet) != 1 || f.seed(t.Context(), &quiet[0]) == nil {
		t.Fatalf("%d silent", len(quiet))
	}
	f.series.err = nil
	if quiet = f.latest.silent(positions); len(quiet) != 1 {
		t.Fatal("a question that failed is not asked again")
	}
	must(t, f.seed(t.Context(), &quiet[0]))
	if body := f.get("/assets/clinic/U-1").body; !strings.Contains(body, "88.0 %") || !strings.Contains(body, "No data") {
		t.Error("what InfluxDB holds is not shown, or not as old")
	}
	if quiet = f.latest.silent(positions); len(quiet) != 0 {
		t.Error("it is asked again and again")
	}
}

func TestListen(t *testing.T) {
	f := newFixture(t)
	if f.NeedsLogin() || !strings.HasPrefix(f.URL(), "http://127.0.0.1:") || strings.HasSuffix(f.URL(), ":0") {
		t.Errorf("%s, login %v", f.URL(), f.NeedsLogin())
	}
	o := Options{Store: f.store, Series: f.series, Commands: f.bus, Live: f.bus, Listen: "0.0.0.0:0"}
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "faultline user add NAME -role admin") {
		t.Errorf("others reach it, and there is no admin: %v", err)
	}
	_, err := f.store.AddUser(t.Context(), faultline.User{Name: "boss", Role: faultline.RoleAdmin, CreatedAt: noon}, "")
	must(t, err)
	s, err := New(o)
	must(t, err)
	defer s.Close()
	if !s.NeedsLogin() || strings.Contains(s.URL(), "0.0.0.0") || !strings.HasPrefix(s.LoginLink(time.Minute), s.URL()+"/login?token=") {
		t.Errorf("%s, login %v", s.URL(), s.NeedsLogin())
	}
	o.Listen = strings.TrimPrefix(f.URL(), "http://")
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), o.Listen) {
		t.Errorf("a taken address: %v", err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a server of nothing")
	}
}

func BenchmarkOverview(b *testing.B) {
	f := newFixture(b)
	f.populate(b)
	b.ReportAllocs()
	for b.Loop() {
		if a := f.get("/"); a.code != 200 {
			b.Fatal(a.code)
		}
	}
}

func BenchmarkTicketPage(b *testing.B) {
	f := newFixture(b)
	f.populate(b)
	b.ReportAllocs()
	for b.Loop() {
		if a := f.get("/tickets/T-000001"); a.code != 200 {
			b.Fatal(a.code)
		}
	}
}

func BenchmarkTakeFrame(b *testing.B) {
	f := newFixture(b)
	fr := faultline.Frame{Site: "s", Position: "p", Time: noon}
	for i := range 20 {
		fr.Samples = append(fr.Samples, faultline.Sample{Point: fmt.Sprintf("p_%d", i), Value: faultline.Float(1), Quality: faultline.Good})
	}
	b.ReportAllocs()
	for b.Loop() {
		fr.Time = fr.Time.Add(time.Second)
		f.takeFrame(fr)
	}
}
