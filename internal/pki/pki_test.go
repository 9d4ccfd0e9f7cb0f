package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func authority(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := NewAuthority(dir, false, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, id Identity, hosts ...string) Pair {
	t.Helper()
	p, err := a.Issue(id, hosts, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// later gives files a time of their own, as file systems are coarse.
func later(t *testing.T, files ...string) {
	t.Helper()
	at := time.Now().Add(time.Minute)
	for _, f := range files {
		if err := os.Chtimes(f, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	a := authority(t, dir)
	for _, id := range []Identity{{RoleHub, "hub", ""}, {RoleGateway, "gw-1", "north"}, {RoleCentral, "rules-2", ""}, {RoleBroker, "listener", ""}} {
		p := issue(t, a, id, "localhost", "127.0.0.1")
		pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Identify(pair.Leaf); err != nil || got != id {
			t.Errorf("%+v became %+v, %v", id, got, err)
		}
		if info, err := os.Stat(p.Key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key is %v, %v", info.Mode(), err)
		}
	}
	if got := (Identity{RoleGateway, "gw-1", "north"}).String(); got != "CN=gw-1,OU=north,O=faultline-gateway" {
		t.Error(got)
	}
	for _, id := range []Identity{{RoleGateway, "gw-1", ""}, {RoleHub, "hub", "north"}, {"cook", "x", ""}, {RoleGateway, "a,O=faultline-hub", "north"}, {RoleGateway, "gw.1", "north"}} {
		if _, err := a.Issue(id, []string{"h"}, 0, time.Now()); !errors.Is(err, faultline.ErrInvalid) {
			t.Errorf("%+v: %v", id, err)
		}
	}
	if _, err := a.Issue(Identity{Role: RoleHub, Name: "hub"}, nil, 0, time.Now()); !errors.Is(err, faultline.ErrInvalid) {
		t.Error(err)
	}
	if _, err := NewAuthority(dir, false, time.Now()); !errors.Is(err, faultline.ErrConflict) {
		t.Error(err)
	}
	list, err := List(dir)
	if err != nil || len(list) != 5 || !list[0].CA || list[1].CA {
		t.Errorf("%d certificates, %v", len(list), err)
	}
	a.cert.Subject.Organization = []string{"somebody else"}
	if _, err := Identify(a.cert); !errors.Is(err, faultline.ErrInvalid) {
		t.Error(err)
	}
}

// handshake connects a client to a listener, and says what the client saw.
func handshake(t *testing.T, server, client *Source) (*x509.Certificate, error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server.Server())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = c.(*tls.Conn).HandshakeContext(t.Context())
			_, _ = c.Write([]byte("x"))
			c.Close()
		}
		served <- err
	}()
	roots, err := client.Authorities()
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "localhost"}
	if c, err := client.Certificate(); err != nil {
		t.Fatal(err)
	} else if len(c.Certificate) > 0 {
		cfg.Certificates = []tls.Certificate{c}
	}
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, cfg)
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	if serr := <-served; err == nil {
		err = serr
	}
	if err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0], nil
}

// Certificates and the authority are replaced while processes run, in the order that the docs say.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	a := authority(t, dir)
	hub, gw := Identity{RoleHub, "hub", ""}, Identity{RoleGateway, "gw-1", "north"}
	hp, gp := issue(t, a, hub, "localhost"), issue(t, a, gw)
	load := func(p Pair) *Source {
		s, err := Load(Files{CA: filepath.Join(dir, AuthorityFile), Cert: p.Cert, Key: p.Key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	server, client := load(hp), load(gp)
	first, err := handshake(t, server, client)
	if err != nil {
		t.Fatal(err)
	}
	// The hub's certificate is renewed.
	issue(t, a, hub, "localhost")
	later(t, hp.Cert, hp.Key)
	second, err := handshake(t, server, client)
	if err != nil || first.SerialNumber.Cmp(second.SerialNumber) == 0 {
		t.Errorf("still the first certificate, %v", err)
	}
	// Half of a renewal: the key is new, the certificate is not. The last good pair serves on.
	cert, err := os.ReadFile(hp.Cert)
	if err != nil {
		t.Fatal(err)
	}
	issue(t, a, hub, "localhost")
	if err := os.WriteFile(hp.Cert, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := handshake(t, server, client); err != nil || c.SerialNumber.Cmp(second.SerialNumber) != 0 {
		t.Errorf("%v", err)
	}
	if _, err := Load(Files{Cert: hp.Cert, Key: hp.Key}, nil); err == nil || !strings.Contains(err.Error(), hp.Key) {
		t.Errorf("a pair that does not fit was loaded: %v", err)
	}
	// A new authority: old certificates are still taken, then new ones, then the old authority goes.
	if a, err = NewAuthority(dir, true, time.Now()); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, AuthorityFile)
	later(t, ca)
	old := load(gp) // of the old authority
	oldCert, oldKey := filepath.Join(t.TempDir(), "old.pem"), filepath.Join(t.TempDir(), "old-key.pem")
	for from, to := range map[string]string{gp.Cert: oldCert, gp.Key: oldKey} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := handshake(t, server, old); err != nil {
		t.Error(err)
	}
	issue(t, a, hub, "localhost")
	issue(t, a, gw)
	if _, err := handshake(t, server, client); err != nil {
		t.Error(err)
	}
	if n, err := a.Forget(); err != nil || n != 1 {
		t.Errorf("forgot %d, %v", n, err)
	}
	at := time.Now().Add(2 * time.Minute)
	if err := os.Chtimes(ca, at, at); err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, server, client); err != nil {
		t.Error(err)
	}
	stale, err := Load(Files{CA: ca, Cert: oldCert, Key: oldKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, server, stale); err == nil {
		t.Error("a certificate of the authority that is no more was taken")
	}
	nobody, err := Load(Files{CA: ca}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, server, nobody); err == nil {
		t.Error("a client without a certificate was taken")
	}
}

// A crash at each point of writing leaves the old file or the new one.
func TestReplace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "two"} {
		if err := replace(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
	}
	if err := replace(filepath.Join(name, "x"), nil, 0o600); err == nil {
		t.Error("wrote below a file")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(name), ".f-*")); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func FuzzDecodeCertificates(f *testing.F) {
	dir := f.TempDir()
	a, err := NewAuthority(dir, false, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.trusted)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeCertificates(b)
		if (err == nil) == (len(list) == 0) {
			t.Errorf("%d certificates, %v", len(list), err)
		}
		for _, c := range list {
			if id, err := Identify(c); err == nil && id.Check() != nil {
				t.Errorf("%+v", id)
			}
		}
	})
}
