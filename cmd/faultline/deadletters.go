package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/ingest"
	"github.com/faultline-iot/faultline/internal/store"
)

// deadLettersTask lists, shows, replays or drops lines that InfluxDB would not take.
func deadLettersTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	group := fs.String("group", "", "only those of the group with this `ID`")
	site := fs.String("site", "", "only those of this `SITE`")
	gateway := fs.String("gateway", "", "only those of this `GATEWAY`")
	all := fs.Bool("all", false, "replay or drop all that the other flags select")
	limit := fs.Int("limit", 100, "show at most so many")
	return func(ctx context.Context, n *node, out, tell io.Writer) error {
		verb := fs.Arg(0)
		f := store.DeadLetterFilter{Group: *group, Site: *site, Gateway: *gateway}
		for i := 1; i < fs.NArg(); i++ {
			id, err := strconv.ParseInt(fs.Arg(i), 10, 64)
			if err != nil {
				return fmt.Errorf("%q is no number of a dead letter: faultline deadletters show lists them", fs.Arg(i))
			}
			f.IDs = append(f.IDs, id)
		}
		switch verb {
		case "", "list":
			return listDeadGroups(ctx, n, out, *limit)
		case "show":
			f.Limit = *limit
			return showDeadLetters(ctx, n, out, f)
		case "replay", "drop":
			if len(f.IDs) == 0 && !*all && f.Group == "" {
				return fmt.Errorf("say which: faultline deadletters %s NUMBERS…, -group ID, or -all", verb)
			}
			letters, _, err := n.store.FindDeadLetters(ctx, f)
			if err != nil {
				return err
			}
			if verb == "drop" {
				return dropDeadLetters(ctx, n, out, letters)
			}
			return replayDeadLetters(ctx, n, out, tell, letters)
		}
		return fmt.Errorf("no verb %q: use list, show, replay or drop", verb)
	}
}

func listDeadGroups(ctx context.Context, n *node, out io.Writer, limit int) error {
	groups, dropped, err := n.store.DeadGroups(ctx, limit)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		fmt.Fprintln(out, "no dead letters: everything that arrived could be stored")
	} else {
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "GROUP\tSITE\tGATEWAY\tLETTERS\tKEPT\tFIRST\tLAST\tSERIES\tREASON")
		for _, g := range groups {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%q\t%q\n", g.ID, g.Site, g.Gateway, g.Count, g.Kept, g.FirstAt.Format(time.DateTime), g.LastAt.Format(time.DateTime), g.Series, g.Reason)
		}
		_ = w.Flush()
	}
	if dropped > 0 {
		fmt.Fprintf(out, "%d letters were dropped by the limits of number and age\n", dropped)
	}
	return nil
}

func showDeadLetters(ctx context.Context, n *node, out io.Writer, f store.DeadLetterFilter) error {
	letters, total, err := n.store.FindDeadLetters(ctx, f)
	if err != nil {
		return err
	}
	for _, d := range letters {
		fmt.Fprintf(out, "%d  %s  %s/%s  epoch %s, frame %d\n    %q\n    %q\n", d.ID, d.At.Format(time.RFC3339), d.Site, d.Gateway, d.Epoch, d.Sequence, d.Reason, d.Line)
	}
	fmt.Fprintf(out, "%d of %d dead letters\n", len(letters), total)
	return nil
}

func dropDeadLetters(ctx context.Context, n *node, out io.Writer, letters []faultline.DeadLetter) error {
	ids := make([]int64, len(letters))
	for i := range letters {
		ids[i] = letters[i].ID
	}
	gone, err := n.asTerminal("deadletters drop").ForgetDeadLetters(ctx, ids...)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d dead letters dropped\n", gone)
	return nil
}

func replayDeadLetters(ctx context.Context, n *node, out, tell io.Writer, letters []faultline.DeadLetter) error {
	written, refused := 0, 0
	const part = 500
	for at := 0; at < len(letters); at += part {
		some := letters[at:min(len(letters), at+part)]
		done, err := n.replay(ctx, some)
		written, refused = written+len(done.Written), refused+len(done.Refused)
		for i := range some {
			if why, is := done.Refused[some[i].ID]; is {
				fmt.Fprintf(out, "%d is refused still: %q\n", some[i].ID, why)
			}
		}
		if err != nil {
			return fmt.Errorf("%d of %d dead letters written, then: %w", written, len(letters), err)
		}
		if at+part < len(letters) {
			fmt.Fprintf(tell, "… %d of %d\n", at+part, len(letters))
		}
	}
	fmt.Fprintf(out, "%d dead letters written, %d refused\n", written, refused)
	if refused > 0 {
		return errors.New("some dead letters are refused still")
	}
	return nil
}

// replay writes dead letters again.
func (n *node) replay(ctx context.Context, letters []faultline.DeadLetter) (ingest.Replayed, error) {
	return ingest.Replay(ctx, letters, n.influx, n.cfg.Influx.Retention, n.cfg.tiers(), n.store)
}

// replayed is replay as the API asks for it.
func (n *node) replayed(ctx context.Context, letters []faultline.DeadLetter) ([]int64, map[int64]string, error) {
	done, err := n.replay(ctx, letters)
	return done.Written, done.Refused, err
}
