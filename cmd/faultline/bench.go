package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
)

// benches are the measurements; each is one file and one line here.
var benches = []command{
	{"poll", "[-devices N]", "Modbus devices polled and their values stored durably at the edge", benchPoll},
	{"latency", "[-json]", "from a register's change at the equipment to the ticket over the API, beside other load", benchLatency},
	{"rules", "[-json]", "the rules engine: evaluations, memory, restoring, pauses", benchRules},
	{"detect", "[-json]", "detection: cost of a sample, memory", benchDetect},
	{"fleet", "[-assets N]", "all shipped rules on simulated equipment: false tickets in normal operation, lead before failures by wear", benchFleet},
}

// benchCommand runs one of benches.
func benchCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), "faultline bench WHAT\n  measure a part on this machine\n\nWhat:\n")
		for _, b := range benches {
			fmt.Fprintf(fs.Output(), "  faultline bench %-8s %-16s %s\n", b.name, b.args, b.about)
		}
	}
	for _, b := range append(benches, command{name: "equipment", run: benchEquipment}) {
		if len(args) > 0 && b.name == args[0] {
			sub := flag.NewFlagSet("bench "+b.name, flag.ContinueOnError)
			sub.SetOutput(fs.Output())
			sub.Usage = func() {
				fmt.Fprintf(sub.Output(), "faultline bench %s %s\n  %s\n\nFlags:\n", b.name, b.args, b.about)
				sub.PrintDefaults()
			}
			return b.run(ctx, sub, args[1:], out)
		}
	}
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	fs.Usage()
	return errUsage
}

// printJSON shows a result to a program.
func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}
