package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/sheet"
	"github.com/faultline-iot/faultline/internal/sheet/register"
)

// importCommand takes over a table of the register.
func importCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	config := fs.String("config", "", "the configuration `FILE` (required)")
	do := importTask(fs)
	if err := parse(fs, args, 2); err != nil {
		return err
	}
	if *config == "" || fs.NArg() != 2 {
		fmt.Fprintln(fs.Output(), "faultline import: a kind of table, a file and -config FILE are needed")
		return errUsage
	}
	cfg, err := LoadConfig(*config)
	if err != nil {
		return err
	}
	name, err := filepath.Abs(fs.Arg(1)) // the process that runs stands elsewhere
	if err != nil {
		return err
	}
	return doTask(ctx, cfg, "import", []string{"-dry-run=" + fs.Lookup("dry-run").Value.String(), fs.Arg(0), name}, do, out, fs.Output())
}

func importTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	dry := fs.Bool("dry-run", false, "show every problem and what would change, and change nothing")
	return func(ctx context.Context, n *node, out, _ io.Writer) error {
		kind, name := faultline.RegisterKind(fs.Arg(0)), fs.Arg(1)
		if !slices.Contains(faultline.RegisterKinds, kind) {
			return fmt.Errorf("there is no table %q: import customers, sites, assets or contracts", kind)
		}
		info, err := os.Stat(name)
		if err == nil && info.Size() > sheet.MaxBytes {
			err = fmt.Errorf("%s has %d bytes: at most %d are read", name, info.Size(), sheet.MaxBytes)
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		r, err := register.Import(ctx, n.asTerminal("import "+string(kind)), kind, filepath.Base(name), data, terminal, time.Now(), *dry)
		if err != nil {
			return err
		}
		return showImport(&r, out)
	}
}

// showImport fails where a row has a problem.
func showImport(r *register.Report, out io.Writer) error {
	for _, p := range r.Problems {
		fmt.Fprintf(out, "%s, %s\n", r.File, p)
	}
	if n := len(r.Problems); n > 0 {
		return fmt.Errorf("%s: %d problems; nothing was changed", r.File, n)
	}
	for _, o := range r.Outcomes {
		id := o.ID
		if o.Site != "" {
			id = o.Site + "/" + id
		}
		fmt.Fprintf(out, "row %d: %s %s\n", o.Row, id, o.Outcome)
		for _, f := range o.Fields {
			fmt.Fprintf(out, "    %s: %s → %s\n", f.Name, orNothing(f.Before), orNothing(f.After))
		}
	}
	did := ""
	if r.DryRun {
		did = "; nothing was changed (-dry-run)"
	}
	fmt.Fprintf(out, "%s: %d rows: %d added, %d changed, %d as they were%s\n", r.File, r.Rows, r.Added, r.Changed, r.Same, did)
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
