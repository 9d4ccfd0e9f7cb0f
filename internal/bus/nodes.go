package bus

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// Nodes makes a server one of several that store every message at a majority of them before it counts.
// Three of them go on without one. Each has a Name of its own.
type Nodes struct {
	Cluster string   // name, the same at all
	Listen  string   // host:port for the other nodes, which must be a network of their own: they are not asked who they are
	Others  []string // host:port where the nodes listen for each other; this one's own may be among them
}

func (n *Nodes) apply(o *server.Options) error {
	host, p, err := net.SplitHostPort(n.Listen)
	if err != nil {
		return fmt.Errorf("cluster listen address %q: %w", n.Listen, err)
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		return fmt.Errorf("cluster listen address %q: port %q is not a number", n.Listen, p)
	}
	o.Cluster = server.ClusterOpts{Name: n.Cluster, Host: host, Port: port, NoAdvertise: true}
	o.Routes = server.RoutesFromStr("nats://" + strings.Join(n.Others, ",nats://"))
	return nil
}
