package bus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// certificate makes a self-signed certificate for loopback that is its own authority.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestMutualTLS(t *testing.T) {
	cert, pool := certificate(t)
	stranger, _ := certificate(t)
	for scheme, listen := range map[string]string{"tls://": "127.0.0.1:0", "wss://": "ws://127.0.0.1:0"} {
		t.Run(scheme, func(t *testing.T) {
			s := startServer(t, ServerConfig{Dir: t.TempDir(), Listen: listen, TLS: &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
			}})
			if !strings.HasPrefix(s.URL(), scheme) {
				t.Fatal(s.URL())
			}
			dial := func(c ...tls.Certificate) error {
				conn, err := Dial(t.Context(), s.URL(), DialOptions{TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: c}})
				if err != nil {
					return err
				}
				defer conn.Close()
				openHub(t, conn, HubConfig{})
				return nil
			}
			if err := dial(cert); err != nil {
				t.Error(err)
			}
			if err := dial(); err == nil {
				t.Error("connected without a certificate")
			}
			if err := dial(stranger); err == nil {
				t.Error("connected with a stranger's certificate")
			}
			if _, err := Dial(t.Context(), strings.Replace(s.URL(), "tls://", "nats://", 1), DialOptions{}); err == nil {
				t.Error("connected without trusting the server")
			}
			openHub(t, connectTo(t, s), HubConfig{}) // in the process, TLS is not asked for
		})
	}
}
