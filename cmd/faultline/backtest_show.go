package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline/internal/chart"
	"github.com/faultline-iot/faultline/rules/backtest"
)

// showBacktest prints a report for people.
func showBacktest(out io.Writer, r *backtest.Report) {
	fmt.Fprintf(out, "%s/%s, rules %s\n", r.Site, r.Position, strings.Join(r.Rules, ", "))
	fmt.Fprintf(out, "from %s\n", r.Used)
	if r.Frames == 0 {
		fmt.Fprintln(out, "there is no data in this time")
		return
	}
	fmt.Fprintf(out, "%s to %s, %d readings of points, %d of them bad, in %.1f s\n", stamp(r.First), stamp(r.Last), r.Samples, r.Bad, r.Took)
	for _, n := range r.Notes {
		fmt.Fprintln(out, "note:", n)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nRAISED\tFOR\tSEVERITY\tRULE\tTICKET\tWAS RAISED\tWHY")
	line := func(a *backtest.Activation, ticket, was string) {
		lasted := "still active"
		if !a.Cleared.IsZero() {
			lasted = a.Cleared.Sub(a.RaisedAt).Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", stamp(a.RaisedAt), lasted, a.Severity, a.Rule, ticket, was, a.Why)
	}
	for i := range r.Alarms {
		a := &r.Alarms[i]
		was := "no"
		if a.Was {
			was = "yes"
		}
		line(a, cmp.Or(a.Ticket, "-"), was)
	}
	missed := 0
	for i := range r.Were {
		if a := &r.Were[i]; !a.Was {
			missed++
			line(a, "-", "only really")
		}
	}
	w.Flush()
	fmt.Fprintf(out, "\n%d alarms would have been raised", len(r.Alarms))
	if len(r.Were) > 0 {
		fmt.Fprintf(out, "; %d were, of which %d would not have been", len(r.Were), missed)
	}
	fmt.Fprintln(out)
	if len(r.Tickets) > 0 {
		w = tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "\nTICKET\tOPENED\tPRIORITY\tKIND\tALARMS\tTITLE")
		for i := range r.Tickets {
			t := &r.Tickets[i]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", t.Number, stamp(t.EventAt), t.Priority, t.Kind, t.Count, t.Title)
		}
		w.Flush()
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// draw writes a picture of each alarm that kept its evidence.
func draw(dir string, r *backtest.Report) (n int, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, fmt.Errorf("make the directory of pictures: %w", err)
	}
	for i := range r.Alarms {
		a := &r.Alarms[i]
		if a.Evidence == nil || len(a.Evidence.Samples) == 0 {
			continue
		}
		c := chart.FromEvidence(a.Evidence, time.UTC)
		c.Standalone, c.Width, c.Height = true, 900, 240
		if last := a.Evidence.Samples[len(a.Evidence.Samples)-1].At; !a.Cleared.IsZero() && !a.Cleared.After(last) {
			c.Marks = append(c.Marks, chart.Mark{At: a.Cleared, Label: "normal again"})
		}
		name := fmt.Sprintf("%03d-%s-%s.svg", i+1, a.Rule, a.RaisedAt.UTC().Format("20060102T150405Z"))
		if err := os.WriteFile(filepath.Join(dir, name), c.SVG(), 0o644); err != nil {
			return n, fmt.Errorf("write a picture: %w", err)
		}
		n++
	}
	return n, nil
}
