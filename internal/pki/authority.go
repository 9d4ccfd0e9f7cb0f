package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/faultline-iot/faultline"
)

// Files of a directory of certificates. AuthorityFile holds every authority that is trusted, the one
// that issues first; its key is needed only where certificates are issued.
const (
	AuthorityFile = "ca.pem"
	authorityKey  = "ca-key.pem"
)

// Lifetimes of what is issued.
const (
	AuthorityLife   = 10 * 365 * 24 * time.Hour
	CertificateLife = 825 * 24 * time.Hour
	early           = 5 * time.Minute // valid before now, for clocks that are behind
)

// Authority issues certificates.
type Authority struct {
	dir     string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	trusted []byte // PEM of all that are trusted
}

// NewAuthority makes an authority in dir. Where there is one already, faultline.ErrConflict unless renew
// is set: then the new one issues from now on, and the ones before stay trusted until Forget.
func NewAuthority(dir string, renew bool, now time.Time) (*Authority, error) {
	old, err := os.ReadFile(filepath.Join(dir, AuthorityFile))
	switch {
	case err == nil && !renew:
		return nil, fmt.Errorf("%w: %s has an authority already; renewing it is a separate step", faultline.ErrConflict, dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("look for an authority: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of certificates: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Faultline authority " + now.UTC().Format("2006-01-02T15:04:05Z"), Organization: []string{organisation + "authority"}},
		NotBefore: now.Add(-early), NotAfter: now.Add(AuthorityLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the authority: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	// Trust first: should it end here, the old key still issues what is trusted.
	bundle := append(encodeCertificate(der), old...)
	if err := replace(filepath.Join(dir, AuthorityFile), bundle, 0o644); err != nil {
		return nil, err
	}
	if err := replace(filepath.Join(dir, authorityKey), keyPEM, 0o600); err != nil {
		return nil, err
	}
	return OpenAuthority(dir)
}

// OpenAuthority opens the authority in dir; the certificate that fits its key is the one that issues.
func OpenAuthority(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	var err error
	if a.trusted, err = os.ReadFile(filepath.Join(dir, AuthorityFile)); err != nil {
		return nil, fmt.Errorf("open the authority: %w (faultline certs ca makes one)", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, authorityKey))
	if err != nil {
		return nil, fmt.Errorf("open the authority's key: %w", err)
	}
	if a.key, err = decodeKey(keyPEM); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, authorityKey), err)
	}
	all, err := decodeCertificates(a.trusted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, AuthorityFile), err)
	}
	for _, c := range all {
		if pub, ok := c.PublicKey.(*ecdsa.PublicKey); ok && pub.Equal(&a.key.PublicKey) {
			a.cert = c
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w: no certificate in %s fits the key %s", faultline.ErrInvalid, AuthorityFile, authorityKey)
}

// Forget stops trusting every authority but the one that issues. It gives how many were forgotten.
func (a *Authority) Forget() (int, error) {
	all, err := decodeCertificates(a.trusted)
	if err != nil {
		return 0, err
	}
	a.trusted = encodeCertificate(a.cert.Raw)
	return len(all) - 1, replace(filepath.Join(a.dir, AuthorityFile), a.trusted, 0o644)
}

// Issue makes a certificate with a new key and writes both to dir under the identity's name. hosts are the
// names and addresses under which a listener is reached; a role that only connects has none.
func (a *Authority) Issue(id Identity, hosts []string, life time.Duration, now time.Time) (Pair, error) {
	if err := id.Check(); err != nil {
		return Pair{}, err
	}
	if (id.Role == RoleHub || id.Role == RoleBroker) && len(hosts) == 0 {
		return Pair{}, fmt.Errorf("%w: a %s is reached by others: name the hosts or addresses under which", faultline.ErrInvalid, id.Role)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	serial, err := serialNumber()
	if err != nil {
		return Pair{}, err
	}
	if life <= 0 {
		life = CertificateLife
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: id.Subject(), NotBefore: now.Add(-early), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(hosts) > 0 {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("issue a certificate to %s: %w", id, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Pair{}, err
	}
	p := Pair{Cert: filepath.Join(a.dir, id.Name+".pem"), Key: filepath.Join(a.dir, id.Name+"-key.pem")}
	if err := replace(p.Key, keyPEM, 0o600); err != nil {
		return Pair{}, err
	}
	return p, replace(p.Cert, encodeCertificate(der), 0o644)
}

// Pair is the files of a certificate.
type Pair struct{ Cert, Key string }

// Entry is a certificate that lies in a directory.
type Entry struct {
	File     string
	Identity Identity // zero of an authority
	Cert     *x509.Certificate
	CA       bool
}

// Hosts under which the entry's owner is reached.
func (e Entry) Hosts() []string {
	hosts := append([]string(nil), e.Cert.DNSNames...)
	for _, ip := range e.Cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// List reads the certificates in dir, authorities first.
func List(dir string) ([]Entry, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	var authorities, others []Entry
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("list certificates: %w", err)
		}
		if !bytes.Contains(b, []byte("BEGIN CERTIFICATE")) {
			continue
		}
		list, err := decodeCertificates(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		for _, c := range list {
			e := Entry{File: f, Cert: c, CA: c.IsCA}
			if e.CA {
				authorities = append(authorities, e)
				continue
			}
			if e.Identity, err = Identify(c); err != nil {
				continue // somebody else's
			}
			others = append(others, e)
		}
	}
	return append(authorities, others...), nil
}

func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return n, nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func decodeKey(b []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%w: no key in PEM", faultline.ErrInvalid)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: key: %w", faultline.ErrInvalid, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: key is no ECDSA key", faultline.ErrInvalid)
	}
	return key, nil
}

func decodeCertificates(b []byte) (list []*x509.Certificate, err error) {
	for len(b) > 0 {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate: %w", faultline.ErrInvalid, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: holds no certificate in PEM", faultline.ErrInvalid)
	}
	return list, nil
}

// replace writes a file as a whole: the old one or the new one is there, whenever it ends.
func replace(name string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it may be renamed already
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Issued tells whether this authority, as it issues now, has issued the certificate.
func (a *Authority) Issued(c *x509.Certificate) bool { return c.CheckSignatureFrom(a.cert) == nil }
