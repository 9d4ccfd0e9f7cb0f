package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/secret"
)

// tokenTask manages API tokens.
func tokenTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	role := fs.String("role", "", "what it may do: the user's own role (unless given) or viewer")
	sites := fs.String("sites", "", "the `SITES` it sees, joined by commas; empty: the user's")
	days := fs.Int("days", 90, "it expires after so many days, at most 366")
	purpose := fs.String("name", "", "what it is for (required to add one)")
	return func(ctx context.Context, n *node, out, _ io.Writer) error {
		verb, user := fs.Arg(0), fs.Arg(1)
		s := n.asTerminal("token " + verb)
		switch verb {
		case "", "list":
			return listTokens(ctx, n, out, user)
		case "add":
			u, err := s.User(ctx, user)
			if err != nil {
				return err
			}
			t := faultline.Token{Name: *purpose, Role: faultline.Role(*role), Sites: splitList(*sites)}
			if t, err = t.For(&u, secret.ID(), time.Now(), *days); err != nil {
				return err
			}
			token := secret.NewToken()
			if err := s.AddToken(ctx, secret.Key(token), t); err != nil {
				return err
			}
			fmt.Fprintf(out, "token %s of %s, role %s, until %s; it is shown this once:\n%s\n", t.ID, t.User, t.Role, t.ExpiresAt.Local().Format(time.DateOnly), token)
			return nil
		case "revoke":
			if err := s.RevokeToken(ctx, user, fs.Arg(2)); err != nil {
				return fmt.Errorf("%w (faultline token revoke USER ID; faultline token list shows both)", err)
			}
			fmt.Fprintf(out, "token %s of %s revoked\n", fs.Arg(2), user)
			return nil
		}
		return fmt.Errorf("no verb %q: use list, add or revoke", verb)
	}
}

func listTokens(ctx context.Context, n *node, out io.Writer, user string) error {
	tokens, err := n.store.Tokens(ctx, user)
	if err != nil {
		return err
	}
	if len(tokens) == 0 {
		fmt.Fprintln(out, "no tokens")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tID\tROLE\tSITES\tEXPIRES\tUSED LAST\tFOR")
	for _, t := range tokens {
		used := "never"
		if !t.LastUsedAt.IsZero() {
			used = t.LastUsedAt.Local().Format(time.DateTime)
		}
		expires := t.ExpiresAt.Local().Format(time.DateOnly)
		if !t.ExpiresAt.After(time.Now()) {
			expires += " (expired)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%q\n", t.User, t.ID, t.Role, allIfNone(t.Sites), expires, used, t.Name)
	}
	return w.Flush()
}
