//go:build realparts

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// interop is a server that we did not write, what it holds, and how each transport reaches it.
type interop struct {
	name   string
	unit   int
	list   string // its registers
	want   map[string]any
	word   string // what mbpoll shows of holding register 0, counted from 1
	says   string // of itself
	server func(t *testing.T, args ...string) *exec.Cmd
}

var interops = []interop{
	{"pymodbus", 7, `name,table,address,type,order,scale,as
word,holding,0,uint16,,,int
tenths,holding,1,int16,,0.1,float
float_abcd,holding,10,float32,ABCD,,float
float_cdab,holding,12,float32,CDAB,,float
large,holding,20,uint32,,,int
exact,holding,24,int64,,,int
double,holding,30,float64,,,float
input,input,5,uint16,,,int
coil,coil,1,bool,,,bool
discrete,discrete,1,bool,,,bool
`, map[string]any{
		"word": int64(4711), "tenths": -12.3, "float_abcd": 21.5, "float_cdab": -7.25, "large": int64(4000000000), "exact": int64(-9007199254740993), "double": 3.141592653589793,
		"input": int64(0xBEEF), "coil": false, "discrete": true,
	}, "4711", "Pymodbus", func(t *testing.T, args ...string) *exec.Cmd {
		return exec.Command(part(t, "/usr/bin/python3"), append([]string{"testdata/pymodbus_server.py"}, args...)...)
	}},
	{"libmodbus", 1, `name,table,address,type,order,scale,as
word,holding,0,uint16,,,int
tenths,holding,1,int16,,0.1,float
float_abcd,holding,10,float32,ABCD,,float
float_cdab,holding,12,float32,CDAB,,float
long,holding,20,uint32,ABCD,,int
input,input,3,uint16,,,int
coil,coil,2,bool,,,bool
discrete,discrete,1,bool,,,bool
`, map[string]any{
		"word": int64(1234), "tenths": -25.0, "float_abcd": float64(float32(101.325)), "float_cdab": -0.5, "long": int64(65538), "input": int64(999), "coil": true, "discrete": true,
	}, "1234", "LMB", func(t *testing.T, args ...string) *exec.Cmd {
		return exec.Command(libmodbusServer(t), args[len(args)-1])
	}},
}

func libmodbusServer(t *testing.T) string {
	t.Helper()
	server := filepath.Join(t.TempDir(), "server")
	flags, err := exec.Command(part(t, "pkg-config"), "--cflags", "--libs", "libmodbus").Output()
	if err != nil {
		t.Fatalf("libmodbus: %v: run deploy/realparts.sh", err)
	}
	if out, err := exec.Command(part(t, "gcc"), append([]string{"-o", server, "testdata/libmodbus_server.c"}, strings.Fields(string(flags))...)...).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return server
}

// background runs a part that listens on nothing.
func background(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, out.String())
		}
	})
}

// waitFor waits for a file.
func waitFor(t *testing.T, files ...string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for _, f := range files {
		for {
			if _, err := os.Stat(f); err == nil {
				break
			}
			select {
			case <-deadline:
				t.Fatalf("%s does not appear", f)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// serialPair is two serial ports with a cable between them.
func serialPair(t *testing.T) (a, b string) {
	t.Helper()
	dir := t.TempDir()
	a, b = filepath.Join(dir, "a"), filepath.Join(dir, "b")
	background(t, exec.Command(part(t, "socat"), "pty,raw,echo=0,link="+a, "pty,raw,echo=0,link="+b))
	waitFor(t, a, b)
	for _, name := range []string{a, b} { // open all the time: socat ends when a side is closed
		f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	}
	return a, b
}

// serialServer passes bytes between a serial port and whoever is connected.
func serialServer(t *testing.T, addr, port string) {
	t.Helper()
	f, err := os.OpenFile(port, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[net.Conn]
	go func() { // ends with the cable
		b := make([]byte, 256)
		for {
			n, err := f.Read(b)
			if err != nil {
				return
			}
			if c := current.Load(); c != nil {
				_, _ = (*c).Write(b[:n])
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			current.Store(&c)
			go func() { _, _ = io.Copy(f, c) }()
		}
	}()
	t.Cleanup(func() { l.Close(); f.Close() })
}

// TestModbusInterop reads servers that we did not write over every transport: what they hold arrives, and mbpoll,
// a client that we did not write, reads the same there.
func TestModbusInterop(t *testing.T) {
	for _, s := range interops {
		t.Run(s.name, func(t *testing.T) {
			t.Run("tcp", func(t *testing.T) {
				addr, port := free(t)
				startPart(t, addr, s.server(t, "tcp", port))
				s.compare(t, gateway.Device{Address: "tcp://" + addr}, "-m", "tcp", "-p", port, "127.0.0.1")
				s.scan(t, "tcp://"+addr)
			})
			t.Run("rtu", func(t *testing.T) {
				far, near := serialPair(t)
				background(t, s.server(t, "rtu", far))
				s.compare(t, gateway.Device{Address: "rtu://" + near + "?baud=19200&parity=none&stopbits=1"}, "-m", "rtu", "-b", "19200", "-P", "none", near)
				s.scan(t, "rtu://"+near+"?baud=19200&parity=none&stopbits=1")
			})
			t.Run("rtu over tcp", func(t *testing.T) {
				addr, port := free(t)
				if s.name == "pymodbus" {
					startPart(t, addr, s.server(t, "rtuovertcp", port))
				} else { // a serial server in front of a serial line
					far, near := serialPair(t)
					background(t, s.server(t, far))
					serialServer(t, addr, near)
				}
				local := filepath.Join(t.TempDir(), "port") // mbpoll knows serial ports only
				s.compareVia(t, gateway.Device{Address: "rtuovertcp://" + addr}, func(t *testing.T) []string {
					background(t, exec.Command(part(t, "socat"), "pty,raw,echo=0,link="+local, "TCP:"+addr))
					waitFor(t, local)
					return []string{"-m", "rtu", "-b", "19200", "-P", "none", local}
				})
			})
			t.Run("tls", func(t *testing.T) {
				addr, port := free(t)
				dir := certificates(t)
				file := func(name string) string { return filepath.Join(dir, name) }
				if s.name == "pymodbus" {
					startPart(t, addr, s.server(t, "tls", port, file("server.pem"), file("server.key"), file("ca.pem")))
				} else {
					plain, plainPort := free(t)
					startPart(t, plain, s.server(t, "tcp", plainPort))
					startPart(t, addr, exec.Command(part(t, "socat"), "OPENSSL-LISTEN:"+port+",bind=127.0.0.1,reuseaddr,fork,verify=1,cert="+file("server.pem")+",key="+file("server.key")+",cafile="+file("ca.pem"), "TCP:"+plain))
				}
				d := gateway.Device{Address: "tls://" + addr, TLS: gateway.TLS{CAFile: file("ca.pem"), CertFile: file("client.pem"), KeyFile: file("client.key")}}
				s.compareVia(t, d, func(t *testing.T) []string {
					local, localPort := free(t)
					startPart(t, local, exec.Command(part(t, "socat"), "TCP-LISTEN:"+localPort+",bind=127.0.0.1,reuseaddr,fork", "OPENSSL:"+addr+",verify=1,commonname=127.0.0.1,cert="+file("client.pem")+",key="+file("client.key")+",cafile="+file("ca.pem")))
					return []string{"-m", "tcp", "-p", localPort, "127.0.0.1"}
				})
				d.TLS.CertFile, d.TLS.KeyFile = "", ""
				if f, err := s.read(t, d); err == nil {
					t.Errorf("without a certificate of our own it answers %v", f.Samples)
				}
			})
		})
	}
}

func (s *interop) compare(t *testing.T, d gateway.Device, mbpoll ...string) {
	s.compareVia(t, d, func(*testing.T) []string { return mbpoll })
}

func (s *interop) compareVia(t *testing.T, d gateway.Device, mbpoll func(*testing.T) []string) {
	t.Helper()
	var f faultline.Frame
	var err error
	deadline := time.After(20 * time.Second)
	for f, err = s.read(t, d); err != nil; f, err = s.read(t, d) { // serial servers do not say when they are ready
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	got := map[string]any{}
	for _, x := range f.Samples {
		if got[x.Point] = x.Value.Any(); !x.Quality.IsGood() {
			got[x.Point] = string(x.Quality)
		}
	}
	for point, want := range s.want {
		if got[point] != want {
			t.Errorf("%s: %v (%T), want %v (%T)", point, got[point], got[point], want, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	args := mbpoll(t)
	last := len(args) - 1
	args = append(append([]string{"-a", fmt.Sprint(s.unit), "-t", "4", "-r", "1", "-c", "1", "-1"}, args[:last]...), args[last])
	out, err := exec.CommandContext(ctx, part(t, "mbpoll"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("mbpoll %v: %v\n%s", args, err, out)
	}
	if m := regexp.MustCompile(`\[1\]:\s+(\d+)`).FindStringSubmatch(string(out)); m == nil || m[1] != s.word {
		t.Errorf("mbpoll reads %v, want %s:\n%s", m, s.word, out)
	}
}

// scan finds the unit, who it says it is, and what it serves.
func (s *interop) scan(t *testing.T, address string) {
	t.Helper()
	var out bytes.Buffer
	if err := dispatch(t.Context(), []string{"scan", address, "-units", fmt.Sprintf("%d-%d", s.unit, s.unit+1), "-range", "0-39", "-pause", "1ms"}, &out, &out); err != nil {
		t.Fatal(err, out.String())
	}
	for _, want := range []string{"It only reads", fmt.Sprintf("unit %d: ", s.unit), s.says, "holding  0–", "one read may have", "it answers in"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in what scan says:\n%s", want, out.String())
		}
	}
}

func (s *interop) read(t *testing.T, d gateway.Device) (faultline.Frame, error) {
	t.Helper()
	p, err := profile.FromCSV(s.name+".csv", strings.NewReader(s.list), s.name, s.name)
	if err != nil {
		t.Fatal(err)
	}
	d.Position, d.Profile, d.Unit, d.Timeout = "X-1", s.name, &s.unit, 2*time.Second
	return gateway.ReadOnce(t.Context(), d, p)
}

// certificates makes an authority, a server's and a client's certificate: ca.pem, server.pem, server.key, client.pem,
// client.key.
func certificates(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	make1 := func(serial int64, name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: parent == nil,
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		}
		if parent == nil {
			parent, by = c, key
		} else {
			c.KeyUsage = x509.KeyUsageDigitalSignature
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	ca, caKey := make1(1, "test authority", nil, nil)
	write("ca.pem", "CERTIFICATE", ca.Raw)
	for i, name := range []string{"server", "client"} {
		c, key := make1(int64(2+i), "127.0.0.1", ca, caKey)
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".pem", "CERTIFICATE", c.Raw)
		write(name+".key", "EC PRIVATE KEY", der)
	}
	return dir
}
