package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/ingest"
)

// ledgerTask shows the loss ledger, or compares it with the streams and InfluxDB.
func ledgerTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	asJSON := fs.Bool("json", false, "print JSON")
	return func(ctx context.Context, n *node, out, tell io.Writer) error {
		switch verb := fs.Arg(0); verb {
		case "", "show":
			return showLedger(ctx, n, out, *asJSON)
		case "verify":
			return verifyLedger(ctx, n, out, tell, *asJSON)
		default:
			return fmt.Errorf("no verb %q: use show or verify", verb)
		}
	}
}

func showLedger(ctx context.Context, n *node, out io.Writer, asJSON bool) error {
	rows, err := n.store.LedgerRows(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(out).Encode(rows)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tGATEWAY\tEPOCH\tFRAMES\tDELIVERED\tLATE\tDUPLICATE\tPOSSIBLY\tMISSING\tDROPPED\tEXPIRED\tDEAD\tLAST AT")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d–%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", r.Site, r.Gateway, r.Epoch, r.First, r.Last, r.Delivered, r.Late, r.Duplicate, r.Possibly, r.Missing, r.Dropped, r.Expired, r.Dead, r.LastAt.Format(time.RFC3339))
	}
	return w.Flush()
}

var errDifferences = errors.New("there are differences")

func verifyLedger(ctx context.Context, n *node, out, tell io.Writer, asJSON bool) error {
	v := ingest.Verification{Hub: n.hub, Store: n.store, Influx: n.influx, Tell: func(format string, args ...any) { fmt.Fprintf(tell, format, args...) }}
	findings, frames, err := v.Run(ctx)
	if err != nil {
		return err
	}
	lost := 0
	for _, f := range findings {
		if f.Lost {
			lost++
		}
	}
	if asJSON {
		err = json.NewEncoder(out).Encode(map[string]any{"frames": frames, "differences": lost, "findings": findings})
	} else {
		showFindings(out, findings, frames, lost)
	}
	if err == nil && lost > 0 {
		err = fmt.Errorf("%w: %d", errDifferences, lost)
	}
	return err
}

func showFindings(out io.Writer, findings []ingest.Finding, frames uint64, lost int) {
	for _, f := range findings {
		mark := "explained "
		if f.Lost {
			mark = "DIFFERENCE"
		}
		fmt.Fprintf(out, "%s  %s", mark, f.What)
		if f.Gateway != "" {
			fmt.Fprintf(out, ": %s/%s epoch %s, %d frames", f.Site, f.Gateway, f.Epoch, f.Frames)
		}
		if f.From > 0 {
			fmt.Fprintf(out, ", %s", span(faultline.SequenceRange{From: f.From, To: f.To}))
		}
		if !f.FromAt.IsZero() || !f.ToAt.IsZero() {
			fmt.Fprintf(out, ", between %s and %s", orUnknown(f.FromAt), orUnknown(f.ToAt))
		}
		if !f.Noticed.IsZero() {
			fmt.Fprintf(out, ", noticed %s", f.Noticed.Format(time.RFC3339))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%d frames of the hub's streams compared with the ledger and InfluxDB: %d differences\n", frames, lost)
}

func orUnknown(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.Format(time.RFC3339)
}

func span(r faultline.SequenceRange) string {
	if r.From == r.To {
		return fmt.Sprint(r.From)
	}
	return fmt.Sprintf("%d to %d", r.From, r.To)
}
