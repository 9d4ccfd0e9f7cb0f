// Command faultline is the whole product in one binary: the roles gateway, ingest, rules and api,
// and the tools around them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // rules name time zones, also where the machine knows none
)

// command is one subcommand. run gets its own flag set, ready to have flags added and be parsed.
type command struct {
	name, args, about string
	run               func(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error
}

var commands = []command{
	{"demo", "", "the whole product with simulated equipment, on embedded defaults", demo},
	{"run", "-config FILE [-roles LIST]", "run the roles of a configuration", run},
	{"check", "-config FILE", "check a configuration: every mistake at once, with file and line", checkCommand},
	{"apply", "-config FILE [-dry-run]", "make what a file says about gateways the version in force; they pull it", applyCommand},
	{"import", "KIND FILE -config FILE [-dry-run]", "customers, sites, assets or contracts from a CSV or XLSX file, all or nothing", importCommand},
	{"init", "[ADDRESS]", "make a configuration for a first device and show its live values", initCommand},
	{"profiles", "[NAME]", "list the device profiles, or show one", profilesCommand},
	{"test", "FILES…", "play tests of rules: series in short notation, and the alarms and tickets expected", testCommand},
	{"scan", "ADDRESS [-profile all]", "find out what is behind a Modbus address, reading only", scanCommand},
	{"backtest", "-rule FILE -asset POSITION", "try rules on the past: the alarms and tickets they would have raised", backtestCommand},
	{"detect", "-board NAME -in DIR -out DIR", "run a public detection benchmark through the rules: " + boardNames(), detectCommand},
	{"dashboards", "[-out DIR]", "write Grafana dashboards of every asset kind and of the product", dashboardsCommand},
	{"grafana", "install -url URL", "put data sources and dashboards into a Grafana", grafanaCommand},
	{"setup", "influx -config FILE", "make database and retention policies or buckets in an external InfluxDB", setupCommand},
	{"train", "-in DIR|FILE -out FILE", "learn remaining life from units that ran until they failed", trainCommand},
	{"chaos", "-for 30m -report FILE", "break an installation of its own and account for every sample", chaosCommand},
	{"backup", "-config FILE -out DIR|FILE.tar", "copy the centre while it runs", backupCommand},
	{"restore", "-config FILE ARCHIVE", "make the centre anew from a copy, where nothing is yet", restoreCommand},
	{"ledger", "show|verify -config FILE", "what became of every frame; compare streams, ledger and InfluxDB", runTask("ledger")},
	{"deadletters", "list|show|replay|drop", "lines that InfluxDB would not take", runTask("deadletters")},
	{"user", "list|add|change|password|disable|enable|logout", "who may log in, and with which role; the first admin is made here", userCommand},
	{"team", "list|add|remove -config FILE", "who gets tickets together", runTask("team")},
	{"token", "list|add|revoke -config FILE", "API tokens of users", runTask("token")},
	{"audit", "verify|export -config FILE", "the chain of all changes by people", auditCommand},
	{"bench", "poll|latency|rules|detect [-json]", "measure a part on this machine", benchCommand},
	{"certs", "ca|hub|gateway|central|broker|renew|list", "make and renew the certificates of hub, gateways and listeners", certsCommand},
	{"cluster", "-config FILE -nodes NODES", "write the configuration of an external NATS cluster", clusterCommand},
	{"health", "[-url URL]", "ask a running process how it is; for containers", healthCommand},
	{"version", "", "print the version", version},
}

// errUsage marks errors after which the command's usage was shown.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second Ctrl-C ends the process at once
	}()
	switch err := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "faultline:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string, out, errOut io.Writer) error {
	if len(args) == 0 {
		usage(errOut)
		return errUsage
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		usage(out)
		return nil
	case "-version", "--version":
		args[0] = "version"
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
		fs.SetOutput(errOut)
		fs.Usage = func() {
			fmt.Fprintf(fs.Output(), "faultline %s %s\n  %s\n\nFlags:\n", c.name, c.args, c.about)
			fs.PrintDefaults()
		}
		return c.run(ctx, fs, args[1:], out)
	}
	fmt.Fprintf(errOut, "faultline: no command %q\n\n", args[0])
	usage(errOut)
	return errUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Faultline watches installed equipment and raises inspection and fault tickets by itself.\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  faultline %-11s %-28s %s\n", c.name, c.args, c.about)
	}
	fmt.Fprint(w, "\nfaultline COMMAND -help shows a command's flags. Begin with: faultline demo\n")
}

// parse reads a command's flags, which may stand before and after its operands (fs.Arg); an operand
// too many is an error.
func parse(fs *flag.FlagSet, args []string, operands int) error {
	var found []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return err
			}
			return errUsage // the flag set has said what is wrong
		}
		if fs.NArg() == 0 {
			break
		}
		found, args = append(found, fs.Arg(0)), fs.Args()[1:]
	}
	if len(found) > operands {
		fmt.Fprintf(fs.Output(), "faultline %s: unexpected argument %q\n", fs.Name(), found[operands])
		fs.Usage()
		return errUsage
	}
	return fs.Parse(append([]string{"--"}, found...))
}
