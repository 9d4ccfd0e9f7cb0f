package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/faultline-iot/faultline"
)

// teamTask manages teams. A team that is there is changed by adding it again: what no flag names stays.
func teamTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	display := fs.String("display", "", "its `NAME` as people call it; empty: its id")
	members := fs.String("members", "", "names of `USERS`, joined by commas")
	lead := fs.String("lead", "", "the `USER` among the members who leads it")
	sites := fs.String("sites", "", "the `SITES` that it serves, joined by commas; empty: all")
	return func(ctx context.Context, n *node, out, _ io.Writer) error {
		verb, id := fs.Arg(0), strings.ToLower(fs.Arg(1))
		s := n.asTerminal("team " + verb)
		if verb == "" || verb == "list" {
			return listTeams(ctx, n, out)
		}
		if id == "" {
			return fmt.Errorf("say which: faultline team %s ID", verb)
		}
		switch verb {
		case "add":
			teams, err := s.Teams(ctx)
			if err != nil {
				return err
			}
			t := faultline.Team{ID: id, Name: id, Members: []string{}}
			done := "added"
			if i := slices.IndexFunc(teams, func(t faultline.Team) bool { return t.ID == id }); i >= 0 {
				t, done = teams[i], "changed"
			}
			fs.Visit(func(f *flag.Flag) {
				switch f.Name {
				case "display":
					t.Name = *display
				case "members":
					t.Members = append([]string{}, splitList(*members)...)
				case "lead":
					t.Lead = *lead
				case "sites":
					t.Sites = splitList(*sites)
				}
			})
			if t, err = s.PutTeam(ctx, t); err != nil {
				return err
			}
			fmt.Fprintf(out, "team %s %s: %s\n", t.ID, done, membersOf(&t))
			return nil
		case "remove":
			if err := s.RemoveTeam(ctx, id); err != nil {
				return err
			}
			fmt.Fprintf(out, "team %s removed; tickets that it had keep its name until somebody is given them\n", id)
			return nil
		}
		return fmt.Errorf("no verb %q: use list, add or remove", verb)
	}
}

func listTeams(ctx context.Context, n *node, out io.Writer) error {
	teams, err := n.store.Teams(ctx)
	if err != nil {
		return err
	}
	if len(teams) == 0 {
		fmt.Fprintln(out, "no teams: faultline team add ID -members NAME,NAME")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TEAM\tMEMBERS\tLEAD\tSITES\tCALLED")
	for i := range teams {
		t := &teams[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.ID, membersOf(t), t.Lead, allIfNone(t.Sites), t.Name)
	}
	return w.Flush()
}

func membersOf(t *faultline.Team) string {
	if len(t.Members) == 0 {
		return "nobody yet"
	}
	return strings.Join(t.Members, ",")
}
