package modbus

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// certificate makes a certificate of 127.0.0.1 that signs itself, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSWithCertificates(t *testing.T) {
	server, trustServer := certificate(t)
	client, trustClient := certificate(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: trustClient, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	w := listenWire(t, func(c net.Conn, _ *bufio.Reader) {
		tc := tls.Server(c, cfg)
		r := bufio.NewReader(tc)
		for {
			a, err := readTCP(r)
			if err != nil {
				return
			}
			if _, err := tc.Write(a.tcp(a.registers(truth))); err != nil {
				return
			}
		}
	})
	read := func(c *tls.Config) (faultline.Quality, error) {
		got, err := Once(t.Context(), "tls://"+w.Addr().String(), Link{TLS: c}, Device{Unit: 1, Profile: registers(5)})
		if err != nil {
			return quality(err), err
		}
		if got[0].Value != faultline.Float(float64(truth(5))) {
			t.Errorf("got %v", got[0])
		}
		return got[0].Quality, nil
	}
	if q, err := read(&tls.Config{RootCAs: trustServer, Certificates: []tls.Certificate{client}}); err != nil || !q.IsGood() {
		t.Errorf("with both certificates: %s %v", q, err)
	}
	if q, err := read(&tls.Config{RootCAs: trustServer}); err == nil || q.Usable() {
		t.Errorf("without a certificate of our own: %s", q)
	}
	if q, err := read(nil); q != faultline.BadNotConnected || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a device that nobody vouches for: %s %v", q, err)
	}
}

func TestRTUOverUDP(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			a, err := readRTU(bufio.NewReader(bytes.NewReader(b[:n])))
			if err != nil {
				t.Error(err)
				return
			}
			out := a.rtu(a.registers(truth))
			_, _ = c.WriteTo(out[:4], from) // a converter may cut where it likes
			_, _ = c.WriteTo(out[4:], from)
		}
	}()
	t.Cleanup(func() { c.Close(); <-ended })
	f, _ := run(t, Config{Address: "rtuoverudp://" + c.LocalAddr().String(), Devices: []Device{{Position: "X", Unit: 1, Period: fast, Profile: registers(1, 2, 90)}}})
	got, _ := f.wait(t, 0, "values", func(f faultline.Frame) bool { return sample(f, "p90").Quality.IsGood() })
	for point, want := range map[string]uint16{"p1": truth(1), "p2": truth(2), "p90": truth(90)} {
		if v := sample(got, point).Value; v != faultline.Float(float64(want)) {
			t.Errorf("%s is %v, want %d", point, v, want)
		}
	}
}

func TestSeveralConnectionsAtOnce(t *testing.T) {
	// Nothing is answered before three requests wait on three connections.
	var mu sync.Mutex
	waiting, all := 0, make(chan struct{})
	w := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		for first := true; ; first = false {
			a, err := readTCP(r)
			if err != nil {
				return
			}
			if first {
				mu.Lock()
				if waiting++; waiting == 3 {
					close(all)
				}
				mu.Unlock()
				<-all
			}
			pdu := a.registers(truth)
			if a.address == 300 {
				pdu = []byte{a.fc | 0x80, 2}
			}
			_, _ = c.Write(a.tcp(pdu))
		}
	})
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if waiting < 3 {
			close(all)
		}
	})
	p := registers(0, 100, 200, 300, 400, 500, 600)
	f, _ := run(t, Config{Address: "tcp://" + w.Addr().String(), Link: Link{Connections: 3}, Devices: []Device{{Position: "X", Unit: 1, Period: fast, Timeout: 5 * time.Second, Profile: p}}})
	for n := -1; n < 3; {
		var got faultline.Frame
		got, n = f.wait(t, n+1, "values", func(faultline.Frame) bool { return true })
		for i, s := range got.Samples {
			address := p.Points[i].Register.Address
			if address == 300 && s.Quality != faultline.BadIllegalAddress || address != 300 && s.Value != faultline.Float(float64(truth(address))) {
				t.Errorf("%s: %v %s", s.Point, s.Value, s.Quality)
			}
		}
	}
}

func TestDeviceOfOneSession(t *testing.T) {
	// It serves one connection at a time and closes that after three answers; others it refuses at once.
	var busy sync.Mutex
	w := listenWire(t, func(c net.Conn, r *bufio.Reader) {
		if !busy.TryLock() {
			return
		}
		defer busy.Unlock()
		for range 3 {
			a, err := readTCP(r)
			if err != nil {
				return
			}
			_, _ = c.Write(a.tcp(a.registers(truth)))
		}
	})
	f, _ := run(t, Config{Address: "tcp://" + w.Addr().String(), Link: Link{ConnectPause: 10 * time.Millisecond}, Devices: []Device{{Position: "X", Unit: 1, Period: 400 * time.Millisecond, Pause: time.Millisecond, Profile: registers(7)}}})
	for n := -1; n < 6; {
		var got faultline.Frame
		got, n = f.wait(t, n+1, "values", func(faultline.Frame) bool { return true })
		if s := sample(got, "p7"); s.Value != faultline.Float(float64(truth(7))) {
			t.Errorf("reading %d: %v %s", n, s.Value, s.Quality)
		}
	}
}
