package bus

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline"
)

// Node is one server of an external NATS cluster.
type Node struct {
	Name string // also of its certificate's files
	Host string // where clients and the other nodes reach it
	Port int    // of clients; the next one is for the other nodes
}

// Cluster describes an external NATS cluster as the hub needs it.
type Cluster struct {
	Nodes      []Node
	Partitions int
	StoreDir   string                            // of every node, without its name
	Certs      string                            // directory with ca.pem, NAME.pem and NAME-key.pem on every node
	WebSocket  bool                              // clients connect over wss, compressed; else over TLS
	Full       []string                          // who may do everything, by certificate subject: the processes of the centre
	Gateways   [][2]string                       // site and gateway
	Subject    func(site, gateway string) string // of a gateway's certificate
}

// File is the configuration of one node, in the words of nats-server. Writes are synced before they are
// acknowledged, clients are known by their certificates, and each gateway may use its own subjects only.
func (c Cluster) File(node string) (string, error) {
	i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == node })
	if i < 0 {
		return "", fmt.Errorf("%w: no node %q", faultline.ErrNotFound, node)
	}
	for _, n := range c.Nodes {
		if err := faultline.CheckName("node", n.Name); err != nil {
			return "", err
		}
	}
	n := c.Nodes[i]
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	tls := func(indent, more string) {
		p("%stls { ca_file: %q, cert_file: %q, key_file: %q, %s }", indent, c.Certs+"/ca.pem", c.Certs+"/"+n.Name+".pem", c.Certs+"/"+n.Name+"-key.pem", more)
	}
	p("# nats-server configuration of node %s, made by faultline cluster. Certificates are read again by: nats-server --signal reload", n.Name)
	p("server_name: %q", n.Name)
	client, route := net.JoinHostPort("0.0.0.0", strconv.Itoa(n.Port)), net.JoinHostPort("0.0.0.0", strconv.Itoa(n.Port+1))
	if ip := net.ParseIP(n.Host); ip != nil && ip.IsLoopback() {
		client, route = net.JoinHostPort(n.Host, strconv.Itoa(n.Port)), net.JoinHostPort(n.Host, strconv.Itoa(n.Port+1))
	}
	if c.WebSocket {
		p("listen: %q # of administrators; gateways use the WebSocket below", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Port+2)))
		tls("", "verify_and_map: true")
		p("websocket {")
		p("  listen: %q", client)
		p("  compression: true")
		tls("  ", "verify_and_map: true")
		p("}")
	} else {
		p("listen: %q", client)
		tls("", "verify_and_map: true")
	}
	p("jetstream { store_dir: %q, sync_interval: always, max_file_store: %d }", c.StoreDir+"/"+n.Name, int64(1)<<50)
	p("write_deadline: \"10s\"")
	p("ping_interval: \"10s\"")
	p("ping_max: 3")
	p("cluster {")
	p("  name: faultline")
	p("  listen: %q", route)
	tls("  ", "verify: true")
	var routes []string
	for _, o := range c.Nodes {
		routes = append(routes, strconv.Quote("nats://"+net.JoinHostPort(o.Host, strconv.Itoa(o.Port+1))))
	}
	p("  routes: [%s]", strings.Join(routes, ", "))
	p("}")
	p("authorization {")
	p("  users: [")
	for _, s := range c.Full {
		p("    { user: %q }", s)
	}
	for _, g := range c.Gateways {
		r := GatewayRights(g[0], g[1], c.Partitions)
		p("    { user: %q, permissions: {", c.Subject(g[0], g[1]))
		p("      publish: { allow: %s }", quoted(r.Publish))
		p("      subscribe: { allow: %s }", quoted(r.Subscribe))
		p("      allow_responses: { max: 1, expires: \"2m\" } } }")
	}
	p("  ]")
	p("}")
	return b.String(), nil
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}
