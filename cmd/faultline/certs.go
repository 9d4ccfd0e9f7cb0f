package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/faultline-iot/faultline/internal/pki"
)

const certsHelp = `faultline certs ca      [-dir certs] [-renew | -forget]      the authority that issues all others
faultline certs hub     [-dir certs] -host NAMES [-name hub]  the hub's listener, or a node of a NATS cluster
faultline certs gateway [-dir certs] -site SITE -name GATEWAY a gateway: it may use its own subjects only
faultline certs central [-dir certs] [-name central]          a process with the roles ingest, rules or api
faultline certs broker  [-dir certs] -host NAMES -name NAME   the MQTT listener of a gateway
faultline certs renew   [-dir certs] [-within 2160h]          issue again what ends soon or is of an older authority
faultline certs list    [-dir certs]                          what there is, and until when

Running processes read replaced files at their next connection. See docs/edge.md.
`

// certsCommand makes and renews certificates.
func certsCommand(_ context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	dir := fs.String("dir", "certs", "the `DIRECTORY` of the certificates; keep it, and its ca-key.pem above all, to yourself")
	name := fs.String("name", "", "of whom the certificate is: a gateway's id, or how a process is called")
	site := fs.String("site", "", "of the gateway")
	host := fs.String("host", "", "`NAMES` or addresses under which the listener is reached, joined by commas")
	days := fs.Int("days", int(pki.CertificateLife/(24*time.Hour)), "how long the certificate is valid")
	renew := fs.Bool("renew", false, "with ca: a new authority that issues from now on; the one before stays trusted")
	forget := fs.Bool("forget", false, "with ca: trust the newest authority alone")
	within := fs.Duration("within", 90*24*time.Hour, "with renew: what ends within this time")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), "faultline certs: make and renew the certificates of hub, gateways and listeners\n\n", certsHelp, "\nFlags:\n")
		fs.PrintDefaults()
	}
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	now := time.Now()
	life := time.Duration(*days) * 24 * time.Hour
	hosts := splitList(*host)
	switch what := fs.Arg(0); what {
	case "ca":
		return certsAuthority(*dir, *renew, *forget, now, out)
	case "hub", "gateway", "central", "broker":
		id := pki.Identity{Role: pki.Role(what), Name: *name, Site: *site}
		if id.Name == "" && (what == "hub" || what == "central") {
			id.Name = what
		}
		a, err := pki.OpenAuthority(*dir)
		if err != nil {
			return err
		}
		p, err := a.Issue(id, hosts, life, now)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n  certificate %s\n  key         %s\n  authorities %s\n", id, p.Cert, p.Key, filepath.Join(*dir, pki.AuthorityFile))
		return nil
	case "renew":
		return certsRenew(*dir, *within, life, now, out)
	case "list":
		return certsList(*dir, now, out)
	case "":
		fs.Usage()
		return errUsage
	default:
		fmt.Fprintf(fs.Output(), "faultline certs: no %q\n\n", what)
		fs.Usage()
		return errUsage
	}
}

func splitList(s string) (list []string) {
	for h := range strings.SplitSeq(s, ",") {
		if h = strings.TrimSpace(h); h != "" {
			list = append(list, h)
		}
	}
	return list
}

func certsAuthority(dir string, renew, forget bool, now time.Time, out io.Writer) error {
	if forget {
		a, err := pki.OpenAuthority(dir)
		if err != nil {
			return err
		}
		n, err := a.Forget()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d older authorities are trusted no more, once this %s lies on every machine\n", n, pki.AuthorityFile)
		return nil
	}
	_, err := os.Stat(filepath.Join(dir, pki.AuthorityFile))
	first := errors.Is(err, fs.ErrNotExist)
	if _, err := pki.NewAuthority(dir, renew, now); err != nil {
		return err
	}
	if first {
		fmt.Fprintf(out, "an authority in %s. %s goes to every machine, ca-key.pem to none\n", dir, pki.AuthorityFile)
		return nil
	}
	fmt.Fprintf(out, "a new authority in %s; the one before is still trusted. Now: 1. copy %s to every machine; 2. faultline certs renew, and copy the certificates; 3. faultline certs ca -forget, and copy %s again\n",
		dir, pki.AuthorityFile, pki.AuthorityFile)
	return nil
}

// certsRenew issues again what ends soon, and what the authority that issues now has not issued.
func certsRenew(dir string, within, life time.Duration, now time.Time, out io.Writer) error {
	a, err := pki.OpenAuthority(dir)
	if err != nil {
		return err
	}
	list, err := pki.List(dir)
	if err != nil {
		return err
	}
	n := 0
	for _, e := range list {
		if e.CA || e.Cert.NotAfter.Sub(now) > within && a.Issued(e.Cert) {
			continue
		}
		if _, err := a.Issue(e.Identity, e.Hosts(), life, now); err != nil {
			return err
		}
		n++
		fmt.Fprintf(out, "renewed %s\n", e.Identity)
	}
	fmt.Fprintf(out, "%d of %s renewed; copy them to their machines, nothing needs a restart\n", n, dir)
	return nil
}

func certsList(dir string, now time.Time, out io.Writer) error {
	list, err := pki.List(dir)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ROLE\tNAME\tSITE\tHOSTS\tENDS\tDAYS LEFT\tFILE")
	for _, e := range list {
		role, name := string(e.Identity.Role), e.Identity.Name
		if e.CA {
			role, name = "authority", e.Cert.Subject.CommonName
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", role, name, e.Identity.Site, strings.Join(e.Hosts(), ","),
			e.Cert.NotAfter.UTC().Format("2006-01-02"), int(e.Cert.NotAfter.Sub(now)/(24*time.Hour)), e.File)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintf(out, "no certificates in %s: faultline certs ca makes the authority\n", dir)
	}
	return nil
}
