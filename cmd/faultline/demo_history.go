package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/firmware-sim/equipment"
	"github.com/faultline-iot/faultline/ingest"
	"github.com/faultline-iot/faultline/internal/bus"
)

const (
	historyDays  = 30
	historyBatch = 2000 // lines in a write
)

// madeUp counts what the history put in.
type madeUp struct{ values, tickets int }

// pastFault is a fault of the made-up history, and how people dealt with it.
type pastFault struct {
	daysAgo   float64
	device    string
	fault     equipment.Fault
	point     string // that shows it
	limit     float64
	ramp, dur time.Duration
	rule      string
	title     string
	mode      string
	severity  faultline.Severity
	criticalA bool
	response  time.Duration // until a person answered the customer
	repair    time.Duration // until it was solved
	mechanism string
	cause     string
	test      string
	words     string
	by        string
}

// Times to response are chosen so that the records show targets both met and missed.
var pastFaults = []pastFault{
	{26.3, "P-102", "clogged_filter", "suction_pressure", 0.8, 4 * time.Hour, 7 * time.Hour, "pump-suction-pressure", "Suction pressure low", "plugged", faultline.SeverityWarning, false, 95 * time.Minute, 9 * time.Hour, "blockage", "debris in the suction strainer", "suction 1.5 bar at full flow for 1 h", "Strainer cleaned; flow and suction pressure are back to normal.", "M. Okafor"},
	{21.6, "CH-301", "clogged_filter", "chilled_water_flow", 60, 6 * time.Hour, 10 * time.Hour, "chiller-water-flow", "Chilled water flow low", "plugged", faultline.SeverityWarning, false, 3 * time.Hour, 12 * time.Hour, "blockage", "scale in the chilled water strainer", "flow 88 m³/h for 2 h", "Strainer cleaned. A water treatment check is proposed.", "L. Brandt"},
	{17.2, "P-101", "bearing_wear", "bearing_temperature_de", 85, 10 * time.Hour, 14 * time.Hour, "pump-bearing-temperature", "Drive-end bearing hot", "overheating", faultline.SeverityCritical, true, 22 * time.Minute, 5 * time.Hour, "lubrication", "grease aged out", "bearing 58 °C after 3 h at full load", "Bearing regreased and watched for three hours; no damage found.", "M. Okafor"},
	{12.8, "U-501", "battery_aging", "battery_temperature", 40, 8 * time.Hour, 12 * time.Hour, "ups-battery-temperature", "Battery warm", "overheating", faultline.SeverityWarning, false, 26 * time.Hour, 40 * time.Hour, "ageing", "room ventilation off", "battery 27 °C for 6 h", "Ventilation of the control room switched on again; battery within limits.", "L. Brandt"},
	{8.4, "C-201", "cooler_fouling", "discharge_temperature", 105, 12 * time.Hour, 15 * time.Hour, "compressor-discharge-temperature", "Discharge temperature high", "overheating", faultline.SeverityWarning, false, 70 * time.Minute, 20 * time.Hour, "fouling", "oil cooler fouled", "discharge 84 °C loaded for 4 h", "Oil cooler cleaned; discharge temperature back to normal.", "M. Okafor"},
	{4.1, "P-102", "bearing_wear", "vibration_de", 7.1, 9 * time.Hour, 12 * time.Hour, "pump-vibration", "Vibration high", "vibration", faultline.SeverityWarning, false, 2 * time.Hour, 30 * time.Hour, "misalignment", "coupling out of line after the last repair", "1.9 mm/s at full speed", "Coupling aligned. The next vibration check is brought forward.", "A. Lindqvist"},
}

// pastMark is how far the made-up history is, kept in the data directory: a run that ended in the middle
// of it is followed by one that completes it, for the same days.
type pastMark struct {
	To   time.Time `json:"to"`
	Done bool      `json:"done"`
}

func (d *demonstration) markFile() string { return filepath.Join(d.dir, "made-up-history.json") }

// wantsHistory tells whether history is to be filled in, and up to when: into an empty directory, or
// where it was begun.
func (d *demonstration) wantsHistory() (to time.Time, wants bool, err error) {
	b, err := os.ReadFile(d.markFile())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return d.started.Truncate(time.Minute), d.fresh, nil
	case err != nil:
		return to, false, fmt.Errorf("read the mark of the made-up history: %w", err)
	}
	var m pastMark
	if err := json.Unmarshal(b, &m); err != nil {
		return to, false, fmt.Errorf("read the mark of the made-up history %s: %w", d.markFile(), err)
	}
	return m.To, !m.Done, nil
}

func (d *demonstration) markHistory(m pastMark) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(d.markFile(), b, 0o600)
}

// makeHistory fills in thirty days of one-minute values, the tickets of faults in them, and their
// alarms. All of it is marked as made up; doing it again changes nothing.
func (d *demonstration) makeHistory(ctx context.Context) error {
	began := time.Now()
	to, wants, err := d.wantsHistory()
	if err != nil || !wants {
		return err
	}
	if err := d.markHistory(pastMark{To: to}); err != nil {
		return err
	}
	from := to.AddDate(0, 0, -historyDays)
	for _, f := range pastFaults {
		if err := d.pastTicket(ctx, f, to); err != nil {
			return err
		}
	}
	for _, p := range d.node.cfg.positions() {
		if err := d.pastValues(ctx, p, from, to); err != nil {
			return fmt.Errorf("%s: %w", p.ID, err)
		}
	}
	var hours []time.Time
	for h := from.Truncate(time.Hour); h.Before(to); h = h.Add(time.Hour) {
		hours = append(hours, h)
	}
	if err := d.node.store.MarkStale(ctx, demoSite, ingest.DueAfter(time.Now()), hours...); err != nil {
		return err
	}
	if err := d.markHistory(pastMark{To: to, Done: true}); err != nil {
		return err
	}
	d.story.say("history %d days of made-up past filled in: %d values, %d tickets, in %s", historyDays, d.madeUp.values, d.madeUp.tickets, time.Since(began).Round(100*time.Millisecond))
	return nil
}

// pastValues writes the trend points of one position.
func (d *demonstration) pastValues(ctx context.Context, p faultline.Position, from, to time.Time) error {
	var device equipment.DeviceConfig
	for _, c := range equipment.Default() {
		if c.Name == p.ID {
			device = c
		}
	}
	var script []equipment.Event
	for _, f := range pastFaults {
		if f.device == p.ID {
			script = append(script, equipment.Event{At: f.began(to).Sub(from), Device: p.ID, Fault: f.fault, Ramp: f.ramp, For: f.dur})
		}
	}
	slices.SortFunc(script, func(a, b equipment.Event) int { return int(a.At - b.At) })
	var trend []faultline.Point
	for _, pt := range p.Points {
		if pt.Trend {
			trend = append(trend, pt)
		}
	}
	if len(trend) == 0 {
		return nil
	}
	w := historyWriter{d: d, ctx: ctx}
	err := equipment.History(equipment.Past{Device: device, Seed: 1, Site: demoSite, From: from, To: to, Step: time.Minute, Script: script}, func(at time.Time, values map[string]float64) error {
		f := faultline.Frame{Kind: p.Kind, Site: p.Site, Position: p.ID, Gateway: p.Gateway, Time: at}
		for _, pt := range trend {
			v, ok := values[pt.Name]
			if !ok {
				continue
			}
			value := faultline.Float(v)
			if pt.Type == faultline.TypeInt {
				value = faultline.Int(int64(math.Round(v)))
			}
			if value.Type() == pt.Type {
				f.Samples = append(f.Samples, faultline.Sample{Point: pt.Name, Value: value, Quality: faultline.Good})
			}
		}
		return w.add(f)
	})
	if err != nil {
		return err
	}
	return w.flush()
}

// historyWriter gathers lines and writes them, leaving the machine free for what is live.
type historyWriter struct {
	d     *demonstration
	ctx   context.Context
	lines []byte
	count int
	line  []byte
}

func (w *historyWriter) add(f faultline.Frame) (err error) {
	if len(f.Samples) == 0 {
		return nil
	}
	if w.line, err = bus.AppendFrame(w.line[:0], &f); err != nil {
		return err
	}
	// The mark goes between the tags gateway and position, where the order of tags wants it.
	before, after, _ := bytes.Cut(bytes.TrimSuffix(w.line, []byte("\n")), []byte(",position="))
	w.lines = append(w.lines, before...)
	w.lines = append(w.lines, ",origin=demo,position="...)
	w.lines = append(w.lines, after...)
	w.lines = append(w.lines, '\n')
	w.d.madeUp.values += len(f.Samples)
	if w.count++; w.count < historyBatch {
		return nil
	}
	return w.flush()
}

func (w *historyWriter) flush() error {
	if w.count == 0 {
		return w.ctx.Err()
	}
	began := time.Now()
	if err := w.d.node.influx.Write(w.ctx, w.lines); err != nil {
		return err
	}
	w.lines, w.count = w.lines[:0], 0
	select { // as long again for the live data
	case <-w.ctx.Done():
		return w.ctx.Err()
	case <-time.After(time.Since(began)):
		return nil
	}
}

func (f *pastFault) began(to time.Time) time.Time {
	return to.Add(-time.Duration(f.daysAgo * 24 * float64(time.Hour))).Truncate(time.Minute)
}

// pastTicket imports one ended ticket with its alarm, clocks and record.
func (d *demonstration) pastTicket(ctx context.Context, f pastFault, to time.Time) error {
	p, err := d.node.store.Position(ctx, demoSite, f.device)
	if err != nil {
		return err
	}
	contracts, err := d.node.store.Contracts(ctx)
	if err != nil {
		return err
	}
	raised := f.began(to).Add(f.ramp * 3 / 4)
	answered, solved := raised.Add(f.response), raised.Add(f.repair)
	closed := solved.Add(20 * time.Hour)
	urgency := int(f.severity)
	t := faultline.Ticket{
		ID: "made-up-" + f.device + "-" + f.rule, Kind: faultline.TicketFault, Maintenance: faultline.Corrective, Status: faultline.StatusClosed,
		Priority: faultline.PriorityOf(p.Asset.Criticality, urgency), Urgency: urgency,
		Site: p.Site, Position: p.ID, Serial: p.Asset.Serial, Rule: f.rule, RuleVersion: 1, FailureMode: f.mode,
		Title: p.ID + " " + f.title, Text: fmt.Sprintf("%s: %s passed %g.", f.title, f.point, f.limit), Suggest: "on_site", Assignee: f.by,
		Coverage:   (&faultline.CoverageFacts{Position: &p, Customer: p.Asset.Customer, Contracts: contracts, Terms: faultline.DefaultTerms}).At(raised),
		Resolution: faultline.Resolution{Outcome: "solved", FailureMode: f.mode, Detection: "rule " + f.rule, Mechanism: f.mechanism, Cause: f.cause, FunctionalTest: f.test, Words: f.words},
		EventAt:    raised, ReceivedAt: raised.Add(2 * time.Second), RecoveredAt: f.began(to).Add(f.dur),
		ResolvedAt: solved, ClosedAt: closed, LastAlarmAt: raised, Count: 1, MadeUp: true,
	}
	events := []faultline.TicketEvent{
		{At: t.ReceivedAt, By: "rules", Kind: faultline.EventOpened, To: string(faultline.StatusNew), Text: t.Text},
		{At: answered.Add(-time.Minute), By: f.by, Kind: faultline.EventMoved, From: "new", To: "triaged"},
		{At: answered, By: f.by, Kind: faultline.EventResponse, Text: "Called the customer: we are on it."},
		{At: answered.Add(30 * time.Minute), By: f.by, Kind: faultline.EventMoved, From: "triaged", To: "in_progress"},
		{At: solved, By: f.by, Kind: faultline.EventSolution, Text: f.words},
		{At: solved, By: f.by, Kind: faultline.EventMoved, From: "in_progress", To: "resolved"},
		{At: closed, By: f.by, Kind: faultline.EventMoved, From: "resolved", To: "closed", Text: "Confirmed by the customer."},
	}
	evidence, err := f.evidence(p, to)
	if err != nil {
		return err
	}
	made, err := d.node.store.AddTicket(ctx, t, events, evidence)
	if err != nil {
		return err
	}
	d.madeUp.tickets++
	a := faultline.Alarm{
		ID: faultline.AlarmID(p.Site, p.ID, "history-"+f.rule), Site: p.Site, Position: p.ID, Rule: "history-" + f.rule, RuleVersion: 1, Title: f.title,
		Acked: true, Severity: f.severity, Why: t.Text, RaisedAt: raised, StoredAt: t.ReceivedAt, ClearedAt: t.RecoveredAt, AckedAt: answered, AckedBy: f.by,
		Count: 1, Ticket: made.ID, MadeUp: true,
	}
	return d.node.store.ImportAlarm(ctx, a, []faultline.AlarmEvent{
		{Alarm: a.ID, At: raised, StoredAt: t.ReceivedAt, Transition: faultline.TransitionRaised, Severity: f.severity, Why: a.Why},
		{Alarm: a.ID, At: answered, StoredAt: answered, Transition: faultline.TransitionAcknowledged, By: f.by},
		{Alarm: a.ID, At: a.ClearedAt, StoredAt: a.ClearedAt, Transition: faultline.TransitionCleared},
	})
}

// evidence takes the two hours before a past fault was noticed from the same physics.
func (f *pastFault) evidence(p faultline.Position, to time.Time) ([]faultline.Evidence, error) {
	raised := f.began(to).Add(f.ramp * 3 / 4)
	e := faultline.Evidence{
		Alarm: faultline.AlarmID(p.Site, p.ID, "history-"+f.rule), At: raised, Point: f.point, Rule: f.rule, RuleVersion: 1, Kind: "threshold",
		Why: f.title, Limits: []faultline.Limit{{Name: "limit", Value: f.limit, Severity: f.severity}},
	}
	for _, pt := range p.Points {
		if pt.Name == f.point {
			e.Unit = pt.Unit
		}
	}
	from := raised.Add(-2 * time.Hour)
	var device equipment.DeviceConfig
	for _, c := range equipment.Default() {
		if c.Name == p.ID {
			device = c
		}
	}
	script := []equipment.Event{{At: max(0, f.began(to).Sub(from)), Device: p.ID, Fault: f.fault, Ramp: f.ramp}}
	if f.began(to).Before(from) { // the picture begins in the middle of the ramp: begin the past earlier
		from = f.began(to)
		script[0].At = 0
	}
	err := equipment.History(equipment.Past{Device: device, Seed: 1, Site: demoSite, From: from, To: raised.Add(time.Minute), Step: time.Minute, Script: script}, func(at time.Time, values map[string]float64) error {
		if v, ok := values[f.point]; ok {
			e.Samples = append(e.Samples, faultline.EvidenceSample{At: at, Value: &v, Quality: faultline.Good})
		}
		return nil
	})
	return []faultline.Evidence{e}, err
}
