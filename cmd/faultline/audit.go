package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
)

// auditTask verifies and exports the audit.
func auditTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	head := fs.String("head", "", "the head that was noted earlier, `N:HASH`: the chain must still hold it")
	_ = fs.String("in", "", "verify this `FILE` of an export instead; needs no -config")
	return func(ctx context.Context, n *node, out, tell io.Writer) error {
		earlier, err := parseHead(*head)
		if err != nil {
			return err
		}
		switch verb := fs.Arg(0); verb {
		case "verify":
			at, err := n.store.VerifyAudit(ctx, earlier, nil)
			if err != nil {
				return err
			}
			return tellHead(out, at, earlier)
		case "export":
			lines := json.NewEncoder(out)
			at, err := n.store.VerifyAudit(ctx, earlier, func(e faultline.AuditEntry) error { return lines.Encode(e) })
			if err != nil {
				return err
			}
			return tellHead(tell, at, earlier)
		default:
			return fmt.Errorf("no verb %q: use verify or export", verb)
		}
	}
}

// auditCommand verifies an exported file here, without any database.
func auditCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	if verb, _, given, ok := taskArgs("audit", args); ok && verb == "verify" && given("in") != "" {
		return verifyExport(given("in"), given("head"), out)
	}
	return runTask("audit")(ctx, fs, args, out)
}

func verifyExport(file, head string, out io.Writer) error {
	earlier, err := parseHead(head)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the export: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	var at faultline.AuditHead
	for n := 1; lines.Scan(); n++ {
		var e faultline.AuditEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%s:%d: %w", file, n, err)
		}
		if at, err = e.Follows(at); err != nil {
			return fmt.Errorf("%s:%d: %w", file, n, err)
		}
		if at.N == earlier.N && at != earlier {
			return fmt.Errorf("%s:%d: entry %d is not the one of -head: everything up to it was written anew", file, n, at.N)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if at.N < earlier.N {
		return fmt.Errorf("%s ends with entry %d, but -head names entry %d: its end was cut off", file, at.N, earlier.N)
	}
	return tellHead(out, at, earlier)
}

func parseHead(s string) (h faultline.AuditHead, err error) {
	if s == "" {
		return h, nil
	}
	n, hash, _ := strings.Cut(s, ":")
	if h.N, err = strconv.ParseInt(n, 10, 64); err != nil || h.N < 1 || len(hash) != 64 {
		return h, fmt.Errorf("-head %q: give the number and the hash that verify printed, as N:HASH", s)
	}
	h.Hash = hash
	return h, nil
}

func tellHead(w io.Writer, at, earlier faultline.AuditHead) error {
	if at.N == 0 {
		fmt.Fprintln(w, "the audit is empty")
		return nil
	}
	fmt.Fprintf(w, "%d entries, none changed, missing or moved; head %d:%s\n", at.N, at.N, at.Hash)
	if earlier.N == 0 {
		fmt.Fprintln(w, "keep this head elsewhere and give it as -head next time: only so a chain that was written anew as a whole is found")
	}
	return nil
}
