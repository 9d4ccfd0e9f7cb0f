package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
)

// Files are where a process finds what it trusts (CA, PEM; may be empty) and who it is (Cert and Key; may
// both be empty).
type Files struct {
	CA, Cert, Key string
}

// Source is certificates that are read from files again when those change, at the next handshake: replacing
// them needs no restart. While the new ones cannot be used, the last good ones are. Safe for concurrent use.
type Source struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex
	stamp  [3]stamp
	tried  [3]stamp // of the last failed attempt, told once
	cert   *tls.Certificate
	pool   *x509.CertPool
	loaded bool
}

type stamp struct {
	at   time.Time
	size int64
}

// Load reads the files. log may be nil.
func Load(f Files, log *slog.Logger) (*Source, error) {
	if (f.Cert == "") != (f.Key == "") {
		return nil, fmt.Errorf("%w: give both a certificate and its key", faultline.ErrInvalid)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Source{files: f, log: log.With("component", "pki")}
	if _, _, err := s.current(); err != nil {
		return nil, err
	}
	return s, nil
}

// current looks whether the files have changed, and reads them then.
func (s *Source) current() (*tls.Certificate, *x509.CertPool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.stat()
	if err == nil && s.loaded && now == s.stamp {
		return s.cert, s.pool, nil
	}
	if err == nil {
		err = s.read()
	}
	switch {
	case err == nil:
		if s.loaded {
			s.log.Info("certificates were replaced and are used from now on", "certificate", s.files.Cert, "authorities", s.files.CA)
		}
		s.stamp, s.loaded = now, true
	case !s.loaded:
		return nil, nil, err
	case now != s.tried:
		s.tried = now
		s.log.Error("new certificates cannot be used; going on with the last good ones", "error", err)
	}
	return s.cert, s.pool, nil
}

func (s *Source) stat() (out [3]stamp, err error) {
	for i, name := range [...]string{s.files.CA, s.files.Cert, s.files.Key} {
		if name == "" {
			continue
		}
		info, serr := os.Stat(name)
		if serr != nil {
			err = errors.Join(err, serr)
			continue
		}
		out[i] = stamp{info.ModTime(), info.Size()}
	}
	return out, err
}

// read replaces both or nothing. s.mu is held.
func (s *Source) read() error {
	var pool *x509.CertPool
	if s.files.CA != "" {
		b, err := os.ReadFile(s.files.CA)
		if err != nil {
			return fmt.Errorf("read certificate authorities: %w", err)
		}
		list, err := decodeCertificates(b)
		if err != nil {
			return fmt.Errorf("%s: %w", s.files.CA, err)
		}
		pool = x509.NewCertPool()
		for _, c := range list {
			pool.AddCert(c)
		}
	}
	var cert *tls.Certificate
	if s.files.Cert != "" {
		c, err := tls.LoadX509KeyPair(s.files.Cert, s.files.Key)
		if err != nil {
			return fmt.Errorf("load certificate %s with key %s: %w", s.files.Cert, s.files.Key, err)
		}
		cert = &c
	}
	s.pool, s.cert = pool, cert
	return nil
}

// Certificate is the own one; an empty one if there is none.
func (s *Source) Certificate() (tls.Certificate, error) {
	c, _, err := s.current()
	if err != nil || c == nil {
		return tls.Certificate{}, err
	}
	return *c, nil
}

// Authorities are those that are trusted; nil for the system's.
func (s *Source) Authorities() (*x509.CertPool, error) {
	_, pool, err := s.current()
	return pool, err
}

// Expires is when the own certificate ends; zero if there is none.
func (s *Source) Expires() time.Time {
	c, _, err := s.current()
	if err != nil || c == nil || c.Leaf == nil {
		return time.Time{}
	}
	return c.Leaf.NotAfter
}

// Server is the configuration of a listener. With authorities it asks every client for a certificate. It
// checks that itself, at every connection: servers that copy the configuration keep its hooks, not what
// its fields will be later.
func (s *Source) Server() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		own, _, err := s.current()
		if err == nil && own == nil {
			err = fmt.Errorf("%w: a listener needs a certificate", faultline.ErrInvalid)
		}
		return own, err
	}
	if s.files.CA != "" {
		c.ClientAuth, c.VerifyConnection = tls.RequireAnyClientCert, s.verifyClient
	}
	return c
}

// verifyClient is called for resumed sessions too.
func (s *Source) verifyClient(state tls.ConnectionState) error {
	_, pool, err := s.current()
	if err != nil {
		return err
	}
	if len(state.PeerCertificates) == 0 || pool == nil {
		return fmt.Errorf("%w: no certificate to check", faultline.ErrInvalid)
	}
	o := x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, c := range state.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(o); err != nil {
		return fmt.Errorf("certificate of %s: %w", state.PeerCertificates[0].Subject, err)
	}
	return nil
}
