package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// findPostgres gives the directory of PostgreSQL's programs.
func findPostgres() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	return "", errors.New("PostgreSQL (initdb) is not installed here")
}

// newPostgres makes a private cluster, which listens on a socket in a directory of its own.
func newPostgres(ctx context.Context, bin string) (p *part, dir, address string, err error) {
	if dir, err = os.MkdirTemp("/tmp", "chaos-pg-"); err != nil { // short: a socket's path has at most 107 bytes
		return nil, "", "", err
	}
	p = &part{name: "postgres", dir: dir, log: filepath.Join(dir, "log"), quit: syscall.SIGINT} // fast shutdown
	if os.Geteuid() == 0 {                                                                      // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		if err != nil {
			return nil, dir, "", err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, dir, "", err
		}
		p.user = u.Username
	}
	data := filepath.Join(dir, "data")
	init := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "faultline", "-A", "trust", "-E", "UTF8", "--locale=C")
	init.Dir, init.SysProcAttr = dir, attributes(p.user)
	if out, err := init.CombinedOutput(); err != nil {
		return nil, dir, "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	p.command = []string{filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "max_connections=200"}
	return p, dir, "postgres://faultline@/postgres?host=" + url.QueryEscape(dir), nil
}
