package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/secret"
	"github.com/faultline-iot/faultline/internal/store"
)

// Users, tokens and the audit from the command line. Whoever may read the data directory may do all of it: this is how
// the first admin is made, and how one gets in again who lost every password.

// terminal is who stands in the audit for what is done here.
const terminal = "terminal"

// asTerminal gives the store for what a command does; its changes are audited.
func (n *node) asTerminal(command string) *store.Store {
	host, _ := os.Hostname()
	return n.store.As(&store.Trail{Entry: faultline.AuditEntry{At: time.Now(), By: terminal, Role: faultline.RoleAdmin, Via: terminal, From: host, Action: "faultline " + command}})
}

// userTask manages users.
func userTask(fs *flag.FlagSet) func(context.Context, *node, io.Writer, io.Writer) error {
	role := fs.String("role", "", "one of "+faultline.RoleList())
	sites := fs.String("sites", "", "the `SITES` they see, joined by commas; empty: all")
	display := fs.String("display", "", "their `NAME` as people call them")
	mail := fs.String("mail", "", "`ADDRESS`")
	phone := fs.String("phone", "", "`NUMBER`")
	language := fs.String("language", "", "en or zh")
	_ = fs.Bool("link", false, "make a one-time link by which they set their password")
	_ = fs.String("password-file", "", "read the password from the first line of `FILE`; - is standard input")
	hash := fs.String("password-hash", "", "the password as an argon2id `HASH` that was made elsewhere")
	return func(ctx context.Context, n *node, out, _ io.Writer) error {
		verb, name := fs.Arg(0), fs.Arg(1)
		given := map[string]bool{}
		fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
		s := n.asTerminal("user " + verb)
		if verb == "" || verb == "list" {
			return listUsers(ctx, n, out)
		}
		if name == "" {
			return fmt.Errorf("say who: faultline user %s NAME", verb)
		}
		if *hash != "" {
			if _, err := secret.Verify("", *hash); err != nil {
				return err
			}
		}
		change := func(u *faultline.User) error {
			for flag, field := range map[string]struct{ to, from *string }{"display": {&u.Display, display}, "mail": {&u.Mail, mail}, "phone": {&u.Phone, phone}, "language": {&u.Language, language}} {
				if given[flag] {
					*field.to = *field.from
				}
			}
			if given["role"] {
				u.Role = faultline.Role(*role)
			}
			if given["sites"] {
				u.Sites = splitList(*sites)
			}
			return nil
		}
		switch verb {
		case "add":
			if !given["role"] {
				return fmt.Errorf("say which role: -role with one of %s", faultline.RoleList())
			}
			u := faultline.User{Name: strings.ToLower(name), CreatedAt: time.Now().UTC()}
			_ = change(&u) // never fails
			if *hash != "" {
				u.PasswordAt = u.CreatedAt
			}
			u, err := s.AddUser(ctx, u, *hash)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "user %s added, role %s\n", u.Name, u.Role)
			if *hash == "" {
				return n.invite(ctx, s, u.Name, out)
			}
			return nil
		case "change", "disable", "enable":
			u, err := s.ChangeUser(ctx, name, 0, func(u *faultline.User) error {
				u.Disabled = verb == "disable" || verb == "change" && u.Disabled
				return change(u)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "user %s: role %s%s\n", u.Name, u.Role, map[bool]string{true: ", disabled and logged out"}[u.Disabled])
			return nil
		case "password":
			if *hash == "" {
				return n.invite(ctx, s, name, out)
			}
			if err := s.SetSecret(ctx, name, *hash, "", func(u *faultline.User) { u.PasswordAt = time.Now().UTC() }); err != nil {
				return err
			}
			fmt.Fprintf(out, "password of %s set; sessions with the old one have ended\n", name)
			return nil
		case "logout":
			if _, err := s.User(ctx, name); err != nil {
				return err
			}
			if err := s.EndSessions(ctx, name, ""); err != nil {
				return err
			}
			fmt.Fprintf(out, "all sessions of %s have ended; tokens stay: faultline token list\n", name)
			return nil
		}
		return fmt.Errorf("no verb %q: use list, add, change, password, disable, enable or logout", verb)
	}
}

// invite makes a one-time link that sets a user's password.
func (n *node) invite(ctx context.Context, s *store.Store, name string, out io.Writer) error {
	token, until := secret.New(), time.Now().Add(faultline.InviteTime)
	if err := s.PutInvite(ctx, secret.Key(token), name, until); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s sets a password, once and until %s, at\n  %s/join?token=%s\n", name, until.Format(time.DateTime), n.consoleURL(), url.QueryEscape(token))
	if n.api == nil {
		fmt.Fprintf(out, "(no console runs here: where people reach it at another address, such as https://…, put that in place of %s)\n", n.consoleURL())
	}
	return nil
}

// consoleURL is where people reach the console: of the process that runs, or as the configuration has it.
func (n *node) consoleURL() string {
	if n.api != nil {
		return n.api.URL()
	}
	host, port, err := net.SplitHostPort(n.cfg.API.Listen)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			host = "localhost"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

func listUsers(ctx context.Context, n *node, out io.Writer) error {
	users, err := n.store.Users(ctx)
	if err != nil {
		return err
	}
	if len(users) == 0 {
		fmt.Fprintln(out, "no users: the console is open to whoever is on this machine. The first is made with: faultline user add NAME -role admin")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tSITES\tSTATE\tPASSWORD SET\tCALLED")
	for _, u := range users {
		state, set := "enabled", "never"
		if u.Disabled {
			state = "disabled"
		}
		if !u.PasswordAt.IsZero() {
			set = u.PasswordAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", u.Name, u.Role, allIfNone(u.Sites), state, set, u.Display)
	}
	return w.Flush()
}

// userCommand asks for a password where one is needed: here, so that neither it nor what could be guessed from it
// travels further than its hash.
func userCommand(ctx context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	verb, name, given, ok := taskArgs("user", args)
	if ok && (verb == "add" || verb == "password") && name != "" && given("link") != "true" && given("password-hash") == "" {
		password, err := readPassword(given("password-file"), os.Stdin, fs.Output())
		if err != nil {
			return err
		}
		if err := secret.CheckPassword(password, name); err != nil {
			return err
		}
		args = append(slices.Clone(args), "-password-hash", secret.Hash(password))
	}
	if ok && verb == "add" && given("config") != "" { // the first user may come before anything else
		if err := makeDataDir(given("config")); err != nil {
			return err
		}
	}
	return runTask("user")(ctx, fs, args, out)
}

func makeDataDir(config string) error {
	cfg, err := LoadConfig(config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.dataDir(), 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return nil
}

// readPassword from a file, or twice from the terminal, which does not show it.
func readPassword(file string, in *os.File, tell io.Writer) (string, error) {
	if file != "" {
		f := in
		if file != "-" {
			var err error
			if f, err = os.Open(file); err != nil {
				return "", fmt.Errorf("read the password: %w", err)
			}
			defer func() { _ = f.Close() }()
		}
		line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	show, ok := hideInput(in)
	if !ok {
		return "", errors.New("there is no terminal to ask for the password: give -link for a one-time link by which they set it, or -password-file FILE (- is standard input)")
	}
	defer show()
	lines := bufio.NewReader(io.LimitReader(in, 8192))
	var typed [2]string
	for i, ask := range []string{"Password: ", "Again: "} {
		fmt.Fprint(tell, ask)
		line, err := lines.ReadString('\n')
		fmt.Fprintln(tell)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = strings.TrimRight(line, "\r\n")
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ: nothing was changed")
	}
	return typed[0], nil
}

func allIfNone(sites []string) string {
	if len(sites) == 0 {
		return "all"
	}
	return strings.Join(sites, ",")
}
