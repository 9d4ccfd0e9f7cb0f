package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/store"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

// sampleCount counts the samples that a gateway had stored, by quality.
type sampleCount struct{ good, uncertain, bad atomic.Int64 }

// countingSink is a gateway's sink that counts what was stored: it counts after the frame is safe.
type countingSink struct {
	gateway.Sink
	count *sampleCount
}

// Publish passes the frame on and counts its samples once it is stored.
func (s countingSink) Publish(ctx context.Context, f faultline.Frame, m bus.Meta) error {
	if err := s.Sink.Publish(ctx, f, m); err != nil {
		return err
	}
	for i := range f.Samples {
		switch q := f.Samples[i].Quality; {
		case q.IsGood():
			s.count.good.Add(1)
		case q.IsUncertain():
			s.count.uncertain.Add(1)
		default:
			s.count.bad.Add(1)
		}
	}
	return nil
}

type samples struct {
	Good      int64 `json:"good"`
	Uncertain int64 `json:"uncertain"`
	Bad       int64 `json:"bad"`
}

func (s samples) total() int64 { return s.Good + s.Uncertain + s.Bad }

func (d *demonstration) gatewaySamples() samples {
	c := &d.node.samples
	return samples{Good: c.good.Load(), Uncertain: c.uncertain.Load(), Bad: c.bad.Load()}
}

// baseline is what was there before this run, so that a run on kept data reports its own figures.
type baseline struct {
	first map[string]uint64 // gateway/epoch → last sequence before this run
	dup   uint64
	late  uint64
}

func (d *demonstration) takeBaseline(ctx context.Context) (baseline, error) {
	b := baseline{first: map[string]uint64{}}
	for _, w := range d.node.writers {
		b.first[w.Epoch()] = w.Last()
	}
	rows, err := d.node.store.LedgerRows(ctx)
	for _, r := range rows {
		b.dup += r.Duplicate
		b.late += r.Late
	}
	positions, _, err2 := d.node.store.Alarms(ctx, store.AlarmFilter{Limit: 1})
	d.fresh = len(rows) == 0 && len(positions) == 0
	return b, cmp.Or(err, err2)
}

// report is what -report writes.
type report struct {
	Version   string          `json:"version"`
	Seconds   float64         `json:"seconds"`
	Equipment reportEquipment `json:"equipment"`
	Samples   samples         `json:"samples"`
	Frames    reportFrames    `json:"frames"`
	Influx    reportInflux    `json:"influx"`
	Faults    []reportFault   `json:"faults"`
	Alarms    []reportAlarm   `json:"alarms"`
	Tickets   []reportTicket  `json:"tickets"`
	MadeUp    reportMadeUp    `json:"made_up"`
}

type reportEquipment struct {
	Devices        int    `json:"devices"`
	ReadingsServed uint64 `json:"readings_served"` // points in answers, as the equipment counted them
	Requests       uint64 `json:"requests_served"`
	Refused        uint64 `json:"requests_refused"`
	Published      uint64 `json:"mqtt_published"` // messages that the equipment got acknowledged
}

type reportFrames struct {
	Stored    uint64 `json:"stored"`    // by the gateways in this run
	Delivered uint64 `json:"delivered"` // of those, seen by ingest
	Late      uint64 `json:"late"`
	Duplicate uint64 `json:"duplicate"`
	Missing   uint64 `json:"missing"`
}

type reportInflux struct {
	Values int64 `json:"values"` // that InfluxDB holds since this run began, made-up history left out
}

type reportFault struct {
	Device   string    `json:"device"`
	Fault    string    `json:"fault"`
	Point    string    `json:"point,omitempty"`
	Injected time.Time `json:"injected_at"`
	Tickets  []string  `json:"tickets"`
}

type reportAlarm struct {
	ID        string     `json:"id"`
	Severity  string     `json:"severity"`
	State     string     `json:"state"`
	RaisedAt  time.Time  `json:"raised_at"`
	ClearedAt *time.Time `json:"cleared_at,omitempty"`
	Count     int        `json:"count"`
	Why       string     `json:"why"`
	Ticket    string     `json:"ticket,omitempty"`
}

type reportTicket struct {
	ID            string         `json:"id"`
	Number        string         `json:"number"`
	Kind          string         `json:"kind"`
	Priority      string         `json:"priority"`
	Asset         string         `json:"asset"`
	Rule          string         `json:"rule"`
	Title         string         `json:"title"`
	OpenedAt      time.Time      `json:"opened_at"`
	FaultInjected *time.Time     `json:"fault_injected_at"`
	DetectedAfter *float64       `json:"detected_after_s"`
	Evidence      reportEvidence `json:"evidence"`
}

type reportEvidence struct {
	Samples int    `json:"samples"`
	Picture string `json:"picture"` // file beside the report
}

type reportMadeUp struct {
	Values  int64 `json:"values"`
	Tickets int   `json:"tickets"`
}

// catchUp waits until ingest has dealt with every frame that the gateways stored.
func (d *demonstration) catchUp(ctx context.Context) bool {
	for {
		if d.behind(ctx) == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *demonstration) behind(ctx context.Context) (frames uint64) {
	rows, err := d.node.store.LedgerRows(ctx)
	if err != nil {
		return 1
	}
	for _, w := range d.node.writers {
		var seen uint64
		for _, r := range rows {
			if r.Epoch == w.Epoch() {
				seen = r.Last
			}
		}
		if w.Last() > seen {
			frames += w.Last() - seen
		}
	}
	return frames
}

// count gathers the report: each figure from the part that knows it.
func (d *demonstration) count(ctx context.Context) (*report, error) {
	c := d.plant.Counters()
	r := &report{
		Version: buildVersion(), Seconds: time.Since(d.started).Seconds(), Samples: d.gatewaySamples(),
		Equipment: reportEquipment{Devices: len(d.plant.Devices()), ReadingsServed: c.Points, Requests: c.Reads, Refused: c.Refused, Published: c.Published},
		Faults:    []reportFault{}, Alarms: []reportAlarm{}, Tickets: []reportTicket{},
	}
	rows, err := d.node.store.LedgerRows(ctx)
	if err != nil {
		return nil, err
	}
	r.Frames = d.frames(rows)
	yes, no := true, false
	for _, q := range []struct {
		where tsdb.CountWhere
		to    *int64
	}{{tsdb.CountWhere{MadeUp: &no, From: d.started}, &r.Influx.Values}, {tsdb.CountWhere{MadeUp: &yes}, &r.MadeUp.Values}} {
		n, err := d.node.influx.Count(ctx, q.where)
		if err != nil {
			return nil, err
		}
		*q.to = n.Values
	}
	if _, r.MadeUp.Tickets, err = d.node.store.Tickets(ctx, store.TicketFilter{MadeUp: &yes, Limit: 1}); err != nil {
		return nil, err
	}
	if err := d.countAlarms(ctx, r); err != nil {
		return nil, err
	}
	return r, d.countTickets(ctx, r)
}

// frames counts this run's part of the ledger: sequences after those that were there before it.
func (d *demonstration) frames(rows []faultline.LedgerRow) (f reportFrames) {
	for _, w := range d.node.writers {
		f.Stored += w.Last() - d.baseline.first[w.Epoch()]
	}
	for _, l := range rows {
		f.Duplicate += l.Duplicate
		f.Late += l.Late
		first, ours := d.baseline.first[l.Epoch]
		if !ours || l.Last <= first {
			continue
		}
		var missing uint64
		for _, g := range l.Gaps {
			if g.To > first {
				missing += g.To - max(g.From, first+1) + 1
			}
		}
		f.Missing += missing
		f.Delivered += l.Last - first - missing
	}
	f.Duplicate -= d.baseline.dup
	f.Late -= d.baseline.late
	return f
}

func (d *demonstration) countAlarms(ctx context.Context, r *report) error {
	alarms, _, err := d.node.store.Alarms(ctx, store.AlarmFilter{Limit: 1000})
	if err != nil {
		return err
	}
	now := time.Now()
	for _, a := range alarms {
		if a.MadeUp || a.RaisedAt.Before(d.started) {
			continue
		}
		ra := reportAlarm{ID: a.ID, Severity: a.Severity.String(), State: string(a.State(now)), RaisedAt: a.RaisedAt, Count: a.Count, Why: a.Why, Ticket: a.Ticket}
		if !a.ClearedAt.IsZero() {
			ra.ClearedAt = &a.ClearedAt
		}
		r.Alarms = append(r.Alarms, ra)
	}
	slices.SortFunc(r.Alarms, func(a, b reportAlarm) int { return a.RaisedAt.Compare(b.RaisedAt) })
	return nil
}

func (d *demonstration) countTickets(ctx context.Context, r *report) error {
	tickets, err := d.ticketsOfRun(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(tickets, func(a, b faultline.Ticket) int { return strings.Compare(a.Number, b.Number) })
	injected := d.plant.Injected()
	of := make([][]string, len(injected))
	for _, t := range tickets {
		rt := reportTicket{ID: t.ID, Number: t.Number, Kind: string(t.Kind), Priority: string(t.Priority), Asset: t.Position, Rule: t.Rule, Title: t.Title, OpenedAt: t.ReceivedAt}
		if i := cause(injected, t); i >= 0 {
			of[i] = append(of[i], t.Number)
			after := t.ReceivedAt.Sub(injected[i].At).Seconds()
			rt.FaultInjected, rt.DetectedAfter = &injected[i].At, &after
		}
		evidence, err := d.node.store.Evidence(ctx, t.ID)
		if err != nil {
			return err
		}
		for _, e := range evidence {
			rt.Evidence.Samples += len(e.Samples)
		}
		r.Tickets = append(r.Tickets, rt)
	}
	for i, in := range injected {
		r.Faults = append(r.Faults, reportFault{Device: in.Device, Fault: string(in.Fault), Point: in.Point, Injected: in.At, Tickets: append([]string{}, of[i]...)})
	}
	return nil
}

// cause finds the injected fault that a fault ticket is about: the last one at its position before it.
func cause(injected []equipment.Injection, t faultline.Ticket) int {
	best := -1
	for i, in := range injected {
		if t.Kind == faultline.TicketFault && in.Device == t.Position && !in.At.After(t.ReceivedAt) && (best < 0 || in.At.After(injected[best].At)) {
			best = i
		}
	}
	return best
}

// write writes the report and, beside it, the picture of every ticket.
func (d *demonstration) write(ctx context.Context, r *report) error {
	pictures := strings.TrimSuffix(d.report, filepath.Ext(d.report)) + "-pictures"
	client, err := d.node.login(ctx)
	if err != nil {
		return err
	}
	for i := range r.Tickets {
		t := &r.Tickets[i]
		svg, err := get(ctx, client, d.node.api.URL()+"/api/v1/tickets/"+t.ID+"/evidence/1/picture.svg")
		if err != nil {
			return fmt.Errorf("picture of %s: %w", t.Number, err)
		}
		if err := os.MkdirAll(pictures, 0o755); err != nil {
			return fmt.Errorf("write pictures: %w", err)
		}
		t.Evidence.Picture = filepath.Join(filepath.Base(pictures), t.Number+".svg")
		if err := os.WriteFile(filepath.Join(pictures, t.Number+".svg"), svg, 0o644); err != nil {
			return fmt.Errorf("write a picture: %w", err)
		}
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(d.report, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// login gives a client of the console, logged in where that is needed.
func (n *node) login(ctx context.Context) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	if !n.api.NeedsLogin() {
		return client, nil
	}
	link, err := url.Parse(n.api.LoginLink(time.Minute))
	if err != nil {
		return nil, err
	}
	form := strings.NewReader(link.Query().Encode())
	link.RawQuery = ""
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, link.String(), form)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	return client, res.Body.Close()
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", req.URL.Path, res.Status)
	}
	return io.ReadAll(io.LimitReader(res.Body, 4<<20))
}

func (d *demonstration) summary(r *report) {
	d.story.say("equipment served %d values and got %d messages acknowledged", r.Equipment.ReadingsServed, r.Equipment.Published)
	d.story.say("gateway stored %d frames: %d good, %d uncertain and %d bad samples", r.Frames.Stored, r.Samples.Good, r.Samples.Uncertain, r.Samples.Bad)
	d.story.say("ingest delivered %d frames, %d missing, %d duplicate; InfluxDB holds %d values of them", r.Frames.Delivered, r.Frames.Missing, r.Frames.Duplicate, r.Influx.Values)
	d.story.say("%d alarms, %d tickets%s", len(r.Alarms), len(r.Tickets), madeUpWords(r.MadeUp))
	for _, t := range r.Tickets {
		after := ""
		if t.DetectedAfter != nil {
			after = fmt.Sprintf(" (%.1f s after the fault began)", *t.DetectedAfter)
		}
		d.story.say("  %s %s %-10s %-7s %s%s", t.Number, t.Priority, t.Kind, t.Asset, t.Title, after)
	}
}

func madeUpWords(m reportMadeUp) string {
	if m.Values == 0 && m.Tickets == 0 {
		return ""
	}
	return fmt.Sprintf("; made-up history beside them: %d values, %d tickets", m.Values, m.Tickets)
}

// serveControl serves the simulator's control interface and gives its address.
func serveControl(ctx context.Context, wg *sync.WaitGroup, plant *equipment.Plant, addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("control of the simulated equipment: %w", err)
	}
	srv := &http.Server{Handler: plant.Handler(), ReadHeaderTimeout: 5 * time.Second}
	wg.Go(func() { _ = srv.Serve(l) })
	wg.Go(func() { <-ctx.Done(); _ = srv.Close() })
	return l.Addr().String(), nil
}
