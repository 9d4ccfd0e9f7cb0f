package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway/modbus"
	"github.com/faultline-iot/faultline/gateway/mqtt"
	"github.com/faultline-iot/faultline/gateway/profile"
)

// Config of a gateway: who it is and what it reads.
type Config struct {
	ID      string   `yaml:"id"`
	Site    string   `yaml:"site"`
	Devices []Device `yaml:"devices"`
	MQTT    MQTT     `yaml:"mqtt,omitempty"`
}

// Device is one piece of equipment at a position. One with Modbus registers has an address, one that
// publishes has a topic.
type Device struct {
	Position string        `yaml:"position"`
	Profile  string        `yaml:"profile"`           // name or name@version
	Address  string        `yaml:"address,omitempty"` // tcp://host:502, tls://host:802, rtuovertcp://host:port, rtuoverudp://host:port, rtu:///dev/ttyUSB0?baud=9600
	Unit     *int          `yaml:"unit,omitempty"`    // Modbus unit id, 0 to 255; default 1
	Period   time.Duration `yaml:"period,omitempty"`  // between polls; default 1 s
	Timeout  time.Duration `yaml:"timeout,omitempty"` // of one read; default 1 s
	Pause    time.Duration `yaml:"pause,omitempty"`   // between an answer and the next request, for slow devices

	// By point: what differs at this device from its profile.
	Overrides map[string]profile.Override `yaml:"overrides,omitempty"`

	// Writes are the points that may be written, of those that the profile marks. None unless given.
	Writes   []AllowedWrite `yaml:"writes,omitempty"`
	FourEyes bool           `yaml:"four_eyes,omitempty"` // all of them want a second person's approval

	// Of the connection, so devices that share an address share these too.
	Connections  int           `yaml:"connections,omitempty"`   // at once; default 1
	Pipeline     int           `yaml:"pipeline,omitempty"`      // requests on their way at once on each connection; default 1
	ConnectPause time.Duration `yaml:"connect_pause,omitempty"` // between connecting and the first request
	TLS          TLS           `yaml:"tls,omitempty"`           // of tls://

	Topic    string `yaml:"topic,omitempty"`    // default site/position; the profile's suffix follows
	Username string `yaml:"username,omitempty"` // of the built-in listener: who alone may publish for it
	Broker   string `yaml:"broker,omitempty"`   // name of a broker; default the listener, or the only broker
}

// MQTT is where publishing equipment is heard: a listener of our own, brokers, or both.
type MQTT struct {
	Listen     string   `yaml:"listen,omitempty"` // host:port
	TLS        TLS      `yaml:"tls,omitempty"`    // of the listener
	Users      []User   `yaml:"users,omitempty"`
	Brokers    []Broker `yaml:"brokers,omitempty"`
	MaxPayload int      `yaml:"max_payload,omitempty"` // bytes; default 65536
}

// Secret comes from a file or the environment, never from the document. Value is for programs.
type Secret struct {
	File  string `yaml:"password_file,omitempty"`
	Env   string `yaml:"password_env,omitempty"`
	Value string `yaml:"-"`
}

// User of the listener. Topics are what it may publish to besides the devices that name it.
type User struct {
	Name   string   `yaml:"name"`
	Secret Secret   `yaml:",inline"`
	Topics []string `yaml:"topics,omitempty"`
}

// Broker is an MQTT broker of the site.
type Broker struct {
	Name     string `yaml:"name"`
	URL      string `yaml:"url"` // tcp://, ssl://, ws:// or wss://
	ClientID string `yaml:"client_id,omitempty"`
	Username string `yaml:"username,omitempty"`
	Secret   Secret `yaml:",inline"`
	TLS      TLS    `yaml:"tls,omitempty"`
}

// TLS names files in PEM. A listener needs cert and key; ca makes it ask devices for certificates. For
// a broker, ca replaces the system's authorities, cert and key are the gateway's own.
type TLS struct {
	CAFile   string `yaml:"ca_file,omitempty"`
	CertFile string `yaml:"cert_file,omitempty"`
	KeyFile  string `yaml:"key_file,omitempty"`
}

// Problems takes what is wrong with a document by its path; *document.Problems is one.
type Problems interface {
	Add(path, format string, args ...any)
}

// MaxDevices is the most devices of one gateway.
const MaxDevices = 10_000

// Validate adds everything that is wrong below path. profiles may be nil: then names of profiles are
// not checked.
func (c *Config) Validate(to Problems, path string, profiles *profile.Set) {
	at := func(format string, args ...any) string {
		return strings.TrimPrefix(path+"."+fmt.Sprintf(format, args...), ".")
	}
	name := func(where, what, s string) {
		if err := faultline.CheckName(what, s); err != nil {
			to.Add(where, "%s", err)
		}
	}
	name(at("id"), "gateway", c.ID)
	name(at("site"), "site", c.Site)
	if len(c.Devices) > MaxDevices {
		to.Add(at("devices"), "%d devices: a gateway reads at most %d", len(c.Devices), MaxDevices)
	}
	seen := map[string]int{}
	for i := range c.Devices {
		d := &c.Devices[i]
		field := func(f string) string { return at("devices[%d].%s", i, f) }
		name(field("position"), "position", d.Position)
		if first, twice := seen[d.Position]; twice && d.Position != "" {
			to.Add(field("position"), "%s is read by devices[%d] already", d.Position, first)
		}
		seen[d.Position] = i
		c.device(to, d, field, profiles)
	}
	c.sharing(to, at)
	c.MQTT.validate(to, func(f string) string { return at("mqtt.%s", f) })
}

// Points gives the profile of a valid device with what differs at it.
func (d *Device) Points(profiles *profile.Set) (*profile.Profile, error) {
	p, err := profiles.Get(d.Profile)
	if err != nil {
		return nil, err
	}
	var list problemList
	p = p.With(d.Overrides, list.Add)
	if len(list) > 0 {
		return nil, fmt.Errorf("%w: overrides of position %s: %w", faultline.ErrInvalid, d.Position, errors.Join(list...))
	}
	return p, nil
}

func (c *Config) device(to Problems, d *Device, field func(string) string, profiles *profile.Set) {
	var p *profile.Profile
	if profiles != nil {
		var err error
		if p, err = profiles.Get(d.Profile); err != nil {
			to.Add(field("profile"), "%s", err)
		} else {
			p.With(d.Overrides, func(path, format string, args ...any) { to.Add(field("overrides."+path), format, args...) })
		}
	} else if d.Profile == "" {
		to.Add(field("profile"), "missing")
	}
	d.checkWrites(to, field, p)
	polled := d.Address != "" && !strings.HasPrefix(d.Address, "mqtt:")
	if p != nil {
		polled = p.UsesModbus()
		if polled && d.Address == "" {
			to.Add(field("address"), "missing: profile %s is read over Modbus, such as tcp://192.168.1.20:502", p.Name)
			return
		}
		if !polled && d.Address != "" {
			to.Add(field("address"), "profile %s publishes over MQTT: give a topic, no address", p.Name)
			return
		}
	}
	if polled {
		if _, err := modbus.ParseAddress(d.Address); err != nil {
			to.Add(field("address"), "%s", err)
		}
		if d.Unit != nil && (*d.Unit < 0 || *d.Unit > 255) {
			to.Add(field("unit"), "%d: use 0 to 255", *d.Unit)
		}
		if d.Period != 0 && d.Period < 10*time.Millisecond || d.Period > 24*time.Hour {
			to.Add(field("period"), "%v: use 10ms to 24h", d.Period)
		}
		if d.Timeout != 0 && d.Timeout < time.Millisecond || d.Timeout > time.Minute {
			to.Add(field("timeout"), "%v: use 1ms to 1m", d.Timeout)
		}
		if d.Pause < 0 || d.Pause > time.Minute {
			to.Add(field("pause"), "%v: use 0 to 1m", d.Pause)
		}
		d.link(to, field)
		for _, f := range [...]struct{ name, value string }{{"topic", d.Topic}, {"username", d.Username}, {"broker", d.Broker}} {
			if f.value != "" {
				to.Add(field(f.name), "a polled device has none")
			}
		}
		return
	}
	if err := mqtt.CheckTopic(c.topic(d)); err != nil {
		to.Add(field("topic"), "%s", err)
	}
	if _, err := c.source(d); err != nil {
		to.Add(field("broker"), "%s", err)
	}
	if d.Username != "" && !slices.ContainsFunc(c.MQTT.Users, func(u User) bool { return u.Name == d.Username }) {
		to.Add(field("username"), "%q is not among mqtt.users", d.Username)
	}
}

// link checks what belongs to a device's connection.
func (d *Device) link(to Problems, field func(string) string) {
	overTLS := strings.HasPrefix(d.Address, "tls:")
	switch {
	case d.Connections < 0 || d.Connections > modbus.MaxConnections:
		to.Add(field("connections"), "%d: use 1 to %d", d.Connections, modbus.MaxConnections)
	case d.Connections > 1 && !overTLS && !strings.HasPrefix(d.Address, "tcp:"):
		to.Add(field("connections"), "only tcp:// and tls:// have several")
	}
	switch {
	case d.Pipeline < 0 || d.Pipeline > modbus.MaxPipeline:
		to.Add(field("pipeline"), "%d: use 1 to %d", d.Pipeline, modbus.MaxPipeline)
	case d.Pipeline > 1 && !overTLS && !strings.HasPrefix(d.Address, "tcp:"):
		to.Add(field("pipeline"), "only answers over tcp:// and tls:// say which request they are of")
	case d.Pipeline > 1 && d.Pause > 0:
		to.Add(field("pipeline"), "a device that wants a pause between requests takes one at a time")
	}
	if d.ConnectPause < 0 || d.ConnectPause > time.Minute {
		to.Add(field("connect_pause"), "%v: use 0 to 1m", d.ConnectPause)
	}
	if d.TLS != (TLS{}) && !overTLS {
		to.Add(field("tls"), "%s has none: use tls://host:802", d.Address)
	}
	if (d.TLS.CertFile == "") != (d.TLS.KeyFile == "") {
		to.Add(field("tls"), "give both cert_file and key_file")
	}
}

// sharing refuses devices behind one address that disagree about the connection to it.
func (c *Config) sharing(to Problems, at func(string, ...any) string) {
	first := map[string]int{}
	for i := range c.Devices {
		d := &c.Devices[i]
		a, err := modbus.ParseAddress(d.Address)
		if err != nil {
			continue
		}
		k, shared := first[a.String()]
		if !shared {
			first[a.String()] = i
			continue
		}
		if o := &c.Devices[k]; o.Connections != d.Connections || o.Pipeline != d.Pipeline || o.ConnectPause != d.ConnectPause || o.TLS != d.TLS {
			to.Add(at("devices[%d].address", i), "devices[%d] has the same: give both the same connections, pipeline, connect_pause and tls", k)
		}
	}
}

func (c *Config) topic(d *Device) string {
	if d.Topic == "" {
		return c.Site + "/" + d.Position
	}
	return d.Topic
}

// source names the broker of a device, "" for the listener.
func (c *Config) source(d *Device) (string, error) {
	switch {
	case d.Broker != "":
		if !slices.ContainsFunc(c.MQTT.Brokers, func(b Broker) bool { return b.Name == d.Broker }) {
			return "", fmt.Errorf("%w: there is no broker %q in mqtt.brokers", faultline.ErrInvalid, d.Broker)
		}
		return d.Broker, nil
	case c.MQTT.Listen != "":
		return "", nil
	case len(c.MQTT.Brokers) == 1:
		return c.MQTT.Brokers[0].Name, nil
	case len(c.MQTT.Brokers) > 1:
		return "", fmt.Errorf("%w: say which of mqtt.brokers", faultline.ErrInvalid)
	}
	return "", fmt.Errorf("%w: the device publishes over MQTT: give mqtt.listen or mqtt.brokers", faultline.ErrInvalid)
}

func (m *MQTT) validate(to Problems, at func(string) string) {
	if m.Listen != "" {
		host, _, err := net.SplitHostPort(m.Listen)
		if err != nil {
			to.Add(at("listen"), "%q: use host:port, such as 127.0.0.1:1883", m.Listen)
		} else if ip := net.ParseIP(host); m.TLS.CertFile == "" && host != "localhost" && (ip == nil || !ip.IsLoopback() && !ip.IsPrivate()) {
			to.Add(at("listen"), "%q is open to more than a private network: give mqtt.tls, or a loopback or private address", m.Listen)
		}
		if len(m.Users) == 0 {
			to.Add(at("users"), "missing: without users nobody can connect to mqtt.listen")
		}
	}
	if (m.TLS.CertFile == "") != (m.TLS.KeyFile == "") {
		to.Add(at("tls"), "give both cert_file and key_file")
	}
	if m.MaxPayload < 0 || m.MaxPayload > 1<<20 {
		to.Add(at("max_payload"), "%d: use 1 to %d bytes", m.MaxPayload, 1<<20)
	}
	for i := range m.Users {
		u := &m.Users[i]
		field := func(f string) string { return at(fmt.Sprintf("users[%d].%s", i, f)) }
		if u.Name == "" {
			to.Add(field("name"), "missing")
		}
		if slices.ContainsFunc(m.Users[:i], func(o User) bool { return o.Name == u.Name }) {
			to.Add(field("name"), "%q is there twice", u.Name)
		}
		u.Secret.validate(to, field("password_file"))
	}
	for i := range m.Brokers {
		b := &m.Brokers[i]
		field := func(f string) string { return at(fmt.Sprintf("brokers[%d].%s", i, f)) }
		if err := faultline.CheckName("broker", b.Name); err != nil {
			to.Add(field("name"), "%s", err)
		}
		if slices.ContainsFunc(m.Brokers[:i], func(o Broker) bool { return o.Name == b.Name }) {
			to.Add(field("name"), "%q is there twice", b.Name)
		}
		if u, err := url.Parse(b.URL); err != nil || u.Host == "" || !slices.Contains([]string{"tcp", "ssl", "ws", "wss"}, u.Scheme) {
			to.Add(field("url"), "use tcp://host:1883, ssl://host:8883, ws://… or wss://…")
		} else if u.User != nil {
			to.Add(field("url"), "no credentials in the address: use username and password_file or password_env")
		}
		if b.Username != "" {
			b.Secret.validate(to, field("password_file"))
		}
		if (b.TLS.CertFile == "") != (b.TLS.KeyFile == "") {
			to.Add(field("tls"), "give both cert_file and key_file")
		}
	}
}

func (s *Secret) validate(to Problems, path string) {
	if s.Value == "" && (s.File == "") == (s.Env == "") {
		to.Add(path, "say where the password is: password_file or password_env, one of them")
	}
}

// read gets the password.
func (s *Secret) read() (string, error) {
	switch {
	case s.Value != "":
		return s.Value, nil
	case s.File != "":
		b, err := os.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	case s.Env != "":
		if v := os.Getenv(s.Env); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("%w: environment variable %s holds no password", faultline.ErrInvalid, s.Env)
	}
	return "", nil
}

// load reads the files; nil if none are named.
func (t *TLS) load() (*tls.Config, error) {
	if *t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s holds no certificates", faultline.ErrInvalid, t.CAFile)
		}
		c.ClientCAs, c.ClientAuth = c.RootCAs, tls.RequireAndVerifyClientCert
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load certificate %s: %w", t.CertFile, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
