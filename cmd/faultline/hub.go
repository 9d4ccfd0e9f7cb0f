package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/pki"
)

// identify says what the owner of a certificate may do at the hub.
func identify(c *x509.Certificate) (bus.Peer, error) {
	id, err := pki.Identify(c)
	if err != nil {
		return bus.Peer{}, err
	}
	switch id.Role {
	case pki.RoleGateway:
		return bus.Peer{Site: id.Site, Gateway: id.Name}, nil
	case pki.RoleCentral, pki.RoleHub:
		return bus.Peer{}, nil
	}
	return bus.Peer{}, fmt.Errorf("%w: %s has nothing to do at the hub", faultline.ErrRefused, id)
}

// embeddedHub starts the hub of this process.
func (n *node) embeddedHub(token string) (*bus.Server, error) {
	c := n.cfg
	s := bus.ServerConfig{
		Dir: filepath.Join(c.dataDir(), "hub"), Name: "hub", Listen: hubListen(c.Hub.Listen), Token: token, Partitions: max(c.Hub.Partitions, 1),
		MaxStore: unlimited, Log: n.log, Registry: n.registry,
	}
	if strings.HasPrefix(c.Hub.Listen, "ws") {
		s.Listen = "ws://" + s.Listen
	}
	if c.Hub.Listen != "" && c.Hub.TLS.CertFile != "" {
		src, err := pki.Load(c.certificateFiles("hub"), n.log)
		if err != nil {
			return nil, err
		}
		s.TLS = src.Server()
		if c.Hub.TLS.CAFile != "" {
			s.Identify = identify
		}
		n.watchCertificate("hub", src)
	} else if c.Hub.Listen != "" && !onLoopback(c.Hub.Listen) {
		n.log.Warn("the hub listens without TLS: frames and the token can be read on the way, and every gateway may write as any other; see docs/edge.md", "listen", c.Hub.Listen)
	}
	return bus.StartServer(s)
}

// hubDial says how this process reaches a hub elsewhere; gateway is zero for the centre.
func (n *node) hubDial(site, gateway string) (bus.DialOptions, error) {
	c := n.cfg
	token, err := c.secret(c.Hub.TokenFile, hubTokenEnv)
	o := bus.DialOptions{Name: "faultline", Token: token, Log: n.log}
	if err != nil {
		return o, err
	}
	if gateway != "" {
		o.Name, o.Site, o.Gateway, o.MaxRate = gateway, site, gateway, int64(c.Uplink.MaxRate)
	}
	if c.Hub.TLS != (TLSConfig{}) {
		src, err := pki.Load(c.certificateFiles(gateway), n.log)
		if err != nil {
			return o, err
		}
		o.Certificates = src
		if o.Gateway == "" {
			gateway = "central"
		}
		n.watchCertificate(gateway, src)
	}
	return o, nil
}

// share divides a role's partitions among the processes that live; nil where there is one only.
func (n *node) share(ctx context.Context, fail func(error), role string) func(int) bool {
	if n.cfg.storeURL() == "" {
		return nil
	}
	h := n.store.NewShare(role, n.owner(), shareTTL, n.log)
	s, sctx := n.begin(ctx, role+" share")
	s.run(sctx, fail, role+" share", h.Run)
	return h.Mine
}

// checkPlaces looks for streams that end before what was dealt with of them: their disk has lost its newest blocks, or
// holds an older copy. Gateways of this process would go on with numbers that were used before, and be taken for
// repeating themselves; so such a stream is renewed before anybody writes into it. What gateways of sites still have
// they forward again.
func (n *node) checkPlaces(ctx context.Context) error {
	places, err := n.store.Places(ctx)
	if err != nil {
		return err
	}
	for p := range n.hub.Partitions() {
		st, err := n.hub.State(ctx, p)
		if err != nil {
			return err
		}
		last := st.Last
		for _, s := range places {
			if s.Partition == p && s.Place.Stream == st.Stream {
				last = max(last, s.Place.Sequence)
			}
		}
		if last == st.Last {
			continue
		}
		n.log.Error("a stream of the hub has lost its end: gateways of this process begin a new epoch, those of sites forward again what they have; faultline ledger verify tells what is missing",
			"partition", p, "stream", st.Stream, "from", st.Last+1, "to", last)
		if err := n.hub.Renew(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// shareTTL is how long a process that died is waited for.
const shareTTL = 5 * time.Second

// startHub answers gateways for the hub that this process is a part of.
func (n *node) startHub(ctx context.Context, fail func(error)) error {
	s, sctx := n.begin(ctx, "hub")
	s.run(sctx, fail, "hub", n.hub.Run)
	s.run(sctx, fail, "gateways' configurations", n.putConfigs)
	return nil
}
