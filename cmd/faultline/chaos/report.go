package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline"
)

// Report is the account of a run.
type Report struct {
	OK          bool              `json:"ok"`
	Samples     Samples           `json:"samples"`
	Tickets     Tickets           `json:"tickets"`
	Alarms      Alarms            `json:"alarms"`
	Ledger      Ledger            `json:"ledger"`
	Faults      []Count           `json:"faults"`
	NotPossible []NotPossible     `json:"not_possible"`
	Problems    []string          `json:"problems"`
	How         map[string]string `json:"how"` // faults are injected here
	Seed        uint64            `json:"seed"`
	Version     string            `json:"version"`
	Started     time.Time         `json:"started"`
	Seconds     float64           `json:"seconds"`
	Stages      []Stage           `json:"stages"`
	Log         []Injection       `json:"log"`
}

// Count is how often a kind of fault was injected.
type Count struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

// NotPossible is a kind of fault that this machine cannot have.
type NotPossible struct {
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

// Injection is one fault.
type Injection struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	What    string    `json:"what"`
	Seconds float64   `json:"seconds"`
}

// Stage is the account of one installation.
type Stage struct {
	Name     string                `json:"name"`
	InfluxDB string                `json:"influxdb"`
	Seconds  float64               `json:"seconds"`
	Samples  Samples               `json:"samples"`
	Tickets  Tickets               `json:"tickets"`
	Alarms   Alarms                `json:"alarms"`
	Ledger   Ledger                `json:"ledger"`
	Parts    map[string]PartReport `json:"parts"`
}

// PartReport says how often a process was started, and how it ended when nobody ended it.
type PartReport struct {
	Starts        int      `json:"starts"`
	EndedByItself []string `json:"ended_by_itself,omitempty"`
}

// Ledger is the loss ledger's own account, in frames, and the points that InfluxDB has.
type Ledger struct {
	Frames    uint64 `json:"frames"`
	Delivered uint64 `json:"delivered"`
	Late      uint64 `json:"late"`
	Duplicate uint64 `json:"duplicate"`
	Possibly  uint64 `json:"possibly_duplicate"`
	Missing   uint64 `json:"missing"`
	Dropped   uint64 `json:"dropped"`
	Expired   uint64 `json:"expired"`
	Dead      uint64 `json:"dead"`
	Points    int    `json:"points"`
}

func (l *Ledger) add(r faultline.LedgerRow) {
	if r.Last > 0 {
		l.Frames += r.Last - r.First + 1
	}
	l.sum(Ledger{Delivered: r.Delivered, Late: r.Late, Duplicate: r.Duplicate, Possibly: r.Possibly, Missing: r.Missing, Dropped: r.Dropped, Expired: r.Expired, Dead: r.Dead})
}

func (l *Ledger) sum(o Ledger) {
	l.Frames += o.Frames
	l.Delivered += o.Delivered
	l.Late += o.Late
	l.Duplicate += o.Duplicate
	l.Possibly += o.Possibly
	l.Missing += o.Missing
	l.Dropped += o.Dropped
	l.Expired += o.Expired
	l.Dead += o.Dead
	l.Points += o.Points
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// finish sums the stages up.
func (r *run) finish() (*Report, error) {
	p := &r.report
	p.Seconds = time.Since(r.start).Seconds()
	p.Tickets.History = []string{}
	for _, s := range p.Stages {
		p.Samples.add(s.Samples)
		p.Ledger.sum(s.Ledger)
		t, a := &p.Tickets, &p.Alarms
		t.Expected += s.Tickets.Expected
		t.Raised += s.Tickets.Raised
		t.Doubled += s.Tickets.Doubled
		t.Missing += s.Tickets.Missing
		t.Other += s.Tickets.Other
		t.History = append(t.History, s.Tickets.History...)
		a.Expected += s.Alarms.Expected
		a.Raised += s.Alarms.Raised
		a.Missing += s.Alarms.Missing
		a.Doubled += s.Alarms.Doubled
	}
	p.Faults = []Count{}
	for k, n := range r.counts {
		p.Faults = append(p.Faults, Count{k, n})
	}
	slices.SortFunc(p.Faults, func(a, b Count) int { return strings.Compare(a.Kind, b.Kind) })
	s := p.Samples
	if s.Sent == 0 {
		p.problem("nothing was sent")
	}
	p.OK = len(p.Problems) == 0 && s.Sent == s.Delivered+s.DroppedByLimit && s.Missing+s.Duplicate+s.Wrong == 0 &&
		p.Tickets.Doubled+p.Tickets.Missing+p.Alarms.Missing+p.Alarms.Doubled == 0
	if !p.OK {
		return p, ErrBroken
	}
	return p, nil
}

// Print writes the account as people read it.
func (r *Report) Print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	line("\nSamples\tsent\tdelivered\tdropped by limit\tmissing\tduplicate\twrong")
	s := r.Samples
	line("\t%d\t%d\t%d\t%d\t%d\t%d", s.Sent, s.Delivered, s.DroppedByLimit, s.Missing, s.Duplicate, s.Wrong)
	line("Alarms\texpected\traised\tmissing\tdoubled\t\t")
	line("\t%d\t%d\t%d\t%d\t\t", r.Alarms.Expected, r.Alarms.Raised, r.Alarms.Missing, r.Alarms.Doubled)
	line("Tickets\texpected\traised\thistory\tmissing\tdoubled\t")
	line("\t%d\t%d\t%d\t%d\t%d\t", r.Tickets.Expected, r.Tickets.Raised, len(r.Tickets.History), r.Tickets.Missing, r.Tickets.Doubled)
	line("Ledger\tframes\tdelivered\tdropped by limit\tmissing\tduplicate\tpoints in InfluxDB")
	l := r.Ledger
	line("\t%d\t%d\t%d\t%d\t%d\t%d", l.Frames, l.Delivered, l.Dropped, l.Missing, l.Duplicate, l.Points)
	line("\nFault\ttimes")
	for _, f := range r.Faults {
		line("%s\t%d", f.Kind, f.Count)
	}
	w.Flush()
	for _, n := range r.NotPossible {
		fmt.Fprintf(out, "%s  not possible: %s\n", n.Kind, n.Why)
	}
	for _, h := range r.Tickets.History {
		fmt.Fprintf(out, "history instead of a ticket: %s\n", h)
	}
	for i, p := range r.Problems {
		if i == 40 {
			fmt.Fprintf(out, "… and %d more problems\n", len(r.Problems)-i)
			break
		}
		fmt.Fprintf(out, "PROBLEM: %s\n", p)
	}
	fmt.Fprintf(out, "%d readings of %d were served to a gateway that failed before it had taken them. Seed %d, %.0f s.\n", s.UntakenReadings, s.Readings, r.Seed, r.Seconds)
	switch {
	case !r.OK:
		fmt.Fprintln(out, "The promise does NOT hold.")
	case s.DroppedByLimit > 0:
		fmt.Fprintln(out, "Everything that was taken is there, once, except what the disk limit dropped, as the ledger says.")
	default:
		fmt.Fprintln(out, "Everything that was taken is there, once.")
	}
}

// Write writes it as JSON.
func (r *Report) Write(file string) error {
	if r.NotPossible == nil {
		r.NotPossible = []NotPossible{}
	}
	if r.Problems == nil {
		r.Problems = []string{}
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
