package main

import (
	"net"
	"os"
	"strings"
	"time"

	"github.com/faultline-iot/faultline/internal/document"
	"github.com/faultline-iot/faultline/internal/pki"
)

// EdgeConfig bounds what a gateway of a site keeps on its own disk.
type EdgeConfig struct {
	MaxBytes Size          `yaml:"max_bytes"` // then the oldest frames are dropped, and counted
	MaxAge   time.Duration `yaml:"max_age"`   // the same; frames that the hub has are kept as long
	// Pull says that the hub's version of a gateway's entry and profiles counts, once it has one; else this file's.
	Pull      bool          `yaml:"pull"`
	PullEvery time.Duration `yaml:"pull_every"` // between looks at the hub's version
	Trial     time.Duration `yaml:"trial"`      // until equipment that answered before must answer under a new version
}

// UplinkConfig is how a gateway of a site sends to the hub.
type UplinkConfig struct {
	MaxRate Rate `yaml:"max_rate"` // on the wire; 0: as fast as it goes
}

// TLSConfig names files in PEM. "{gateway}" in a name stands for the gateway's id.
type TLSConfig struct {
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// hubTokenEnv is the variable of the environment that holds the hub's token where no file does.
const hubTokenEnv = "FAULTLINE_HUB_TOKEN"

const (
	smallestEdge = 16 << 20
	slowestRate  = 8_000
)

func (c *Config) validateEdge(p *document.Problems) {
	if c.Edge.MaxBytes < smallestEdge {
		p.Add("edge.max_bytes", "%s is too small: at least 16MiB", c.Edge.MaxBytes)
	}
	if c.Edge.MaxAge < time.Hour {
		p.Add("edge.max_age", "%s is too short: at least 1h", c.Edge.MaxAge)
	}
	if d := c.Edge.PullEvery; d < 100*time.Millisecond || d > time.Hour {
		p.Add("edge.pull_every", "%s: use 100ms to 1h", d)
	}
	if d := c.Edge.Trial; d < time.Second || d > time.Hour {
		p.Add("edge.trial", "%s: use 1s to 1h", d)
	}
	if r := c.Uplink.MaxRate; r != 0 && r < slowestRate {
		p.Add("uplink.max_rate", "%d bytes a second are too few: at least 8kB/s", r)
	}
	t := c.Hub.TLS
	if (t.CertFile == "") != (t.KeyFile == "") {
		p.Add("hub.tls", "give both cert_file and key_file")
	}
	secure := strings.HasPrefix(c.Hub.Listen, "wss://") || t.CertFile != "" && !strings.HasPrefix(c.Hub.Listen, "ws://")
	switch {
	case strings.HasPrefix(c.Hub.Listen, "wss://") && t.CertFile == "":
		p.Add("hub.tls", "is missing: wss:// needs cert_file and key_file; faultline certs makes them")
	case c.Hub.Listen != "" && !secure && c.Hub.TokenFile == "" && os.Getenv(hubTokenEnv) == "" && !onLoopback(c.Hub.Listen):
		p.Add("hub.listen", "%q is open to the network without a word: give hub.tls (see faultline certs), or at least hub.token_file or the environment's %s", c.Hub.Listen, hubTokenEnv)
	}
	if strings.HasPrefix(c.Hub.Listen, "ws://") && t != (TLSConfig{}) {
		p.Add("hub.listen", "ws:// sends in the clear though hub.tls is given: write wss://")
	}
	if u := c.Hub.URL; t != (TLSConfig{}) && (strings.HasPrefix(u, "nats://") || strings.HasPrefix(u, "ws://")) {
		p.Add("hub.url", "sends in the clear though hub.tls is given: write tls:// or wss://")
	}
	if c.Hub.Replicas < 0 || c.Hub.Replicas > 5 || c.Hub.Replicas%2 == 0 && c.Hub.Replicas != 0 {
		p.Add("hub.replicas", "%d: use 1, 3 or 5", c.Hub.Replicas)
	}
	if c.Hub.Replicas > 1 && c.Hub.URL == "" {
		p.Add("hub.replicas", "%d: the embedded hub is one node; several need hub.url of a NATS cluster", c.Hub.Replicas)
	}
}

// hubListen is the address of hub.listen without its scheme.
func hubListen(s string) string {
	for _, scheme := range []string{"wss://", "ws://", "tls://", "nats://"} {
		s = strings.TrimPrefix(s, scheme)
	}
	return s
}

func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(hubListen(listen))
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// files gives the certificates of this process; gateway is empty for the centre.
func (c *Config) certificateFiles(gateway string) pki.Files {
	name := func(s string) string {
		if s == "" {
			return ""
		}
		return c.path(strings.ReplaceAll(s, "{gateway}", gateway))
	}
	return pki.Files{CA: name(c.Hub.TLS.CAFile), Cert: name(c.Hub.TLS.CertFile), Key: name(c.Hub.TLS.KeyFile)}
}
