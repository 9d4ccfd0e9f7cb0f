package bus

import (
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// Peer is who connects, by its certificate. A gateway may use its own subjects only; others may
// do everything.
type Peer struct {
	Site, Gateway string // of a gateway; empty for a process of the centre
}

// Rights are the subjects that a connection may use.
type Rights struct {
	Publish, Subscribe []string
	Answer             bool // may answer requests that reach it
}

// GatewayRights is all that a gateway may do at the hub: store what is its own, pass on its live frames, ask
// what the hub has of it, read its configuration, and take requests addressed to it. partitions is the hub's
// number of them; 0 if it is not known yet, which opens the gateway's own names in every partition.
func GatewayRights(site, gateway string, partitions int) Rights {
	p := "*"
	if partitions > 0 {
		p = strconv.Itoa(partitionOf(site, partitions))
	}
	own := "." + p + "." + site + "." + gateway
	return Rights{
		Publish: []string{
			"f" + own + ".*", "h" + own, "w" + own,
			"live." + site + "." + gateway + ".>",
			askSubject(site, gateway),
			"$JS.API.STREAM.INFO.KV_" + configBucket,
			"$JS.API.DIRECT.GET.KV_" + configBucket + ".$KV." + configBucket + "." + site + "." + gateway,
		},
		Subscribe: []string{inbox(site, gateway) + ".>", orderSubject(site, gateway)},
		Answer:    true,
	}
}

// configBucket is the KV bucket with the gateways' configurations, by site.gateway.
const configBucket = "FL-GATEWAYS"

// inbox begins the subjects of the answers to a gateway, so that no other hears them.
func inbox(site, gateway string) string { return "_INBOX." + site + "." + gateway }

func askSubject(site, gateway string) string { return "hub.ask." + site + "." + gateway }

// gate decides who may connect to the embedded server. Connections within the process know a secret.
type gate struct {
	inside     string
	token      string // lets in where no certificate is shown; empty: nobody
	identify   func(*x509.Certificate) (Peer, error)
	partitions int
	checked    bool // the TLS configuration checks clients' certificates itself
	refused    func(remote string, err error)
}

// Check implements the server's authentication.
func (g *gate) Check(c server.ClientAuthentication) bool {
	if g.inside != "" && same(c.GetOpts().Token, g.inside) {
		return true
	}
	state := c.GetTLSConnectionState()
	if state == nil || !g.verified(state) {
		return g.token != "" && same(c.GetOpts().Token, g.token)
	}
	p, err := g.identify(state.PeerCertificates[0])
	if err != nil {
		g.refused(c.RemoteAddress().String(), err)
		return false
	}
	u := &server.User{Username: p.Gateway}
	if p.Gateway != "" {
		r := GatewayRights(p.Site, p.Gateway, g.partitions)
		u.Permissions = &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: r.Publish},
			Subscribe: &server.SubjectPermission{Allow: r.Subscribe},
			Response:  &server.ResponsePermission{MaxMsgs: 1, Expires: server.DEFAULT_ALLOW_RESPONSE_EXPIRATION},
		}
	}
	c.RegisterUser(u)
	return true
}

// verified tells whether the client's certificate was checked: by crypto/tls, or by the configuration's own
// check, without which the handshake had failed.
func (g *gate) verified(s *tls.ConnectionState) bool {
	return len(s.PeerCertificates) > 0 && (len(s.VerifiedChains) > 0 || g.checked)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
