package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/faultline-iot/faultline/rules"
)

// benchRules measures the rules engine without a bus or a store.
func benchRules(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	var o rules.BenchOptions
	fs.IntVar(&o.Positions, "positions", 10_000, "positions with equipment")
	fs.IntVar(&o.Points, "points", 20, "points of each")
	fs.IntVar(&o.Rules, "rules", 3, "rules on each point")
	fs.DurationVar(&o.For, "for", 3*time.Second, "how long to evaluate")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	r, err := rules.Bench(ctx, o)
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, r)
	}
	fmt.Fprintf(out, "%d rules on %d positions\n", r.Rules, r.Positions)
	fmt.Fprintf(out, "  %.0f evaluations/s and %.0f frames/s on one core\n", r.PerSecond, r.Frames)
	fmt.Fprintf(out, "  %.0f bytes a rule, %.0f saved; 100,000 restored in %.2f s\n", r.Bytes, r.Saved, r.RestoreS)
	fmt.Fprintf(out, "  batches of 500 frames take %.1f ms, the worst pause is %.1f ms\n", r.MedianBatchMS, r.WorstPauseMS)
	return nil
}
