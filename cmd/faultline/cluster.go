package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/pki"
)

// clusterCommand writes the configuration of an external NATS cluster for the gateways of a configuration.
func clusterCommand(_ context.Context, fs *flag.FlagSet, args []string, out io.Writer) error {
	file := fs.String("config", "", "the configuration `FILE` whose gateways may connect (required)")
	nodes := fs.String("nodes", "", "the `NODES`, as name=host[:port], joined by commas; three for one that may fail (required)")
	dir := fs.String("out", ".", "the `DIRECTORY` to write NAME.conf into")
	certs := fs.String("certs", "/etc/faultline/certs", "the `DIRECTORY` of the certificates on the nodes")
	data := fs.String("store", "/var/lib/nats", "the `DIRECTORY` of the streams on the nodes")
	central := fs.String("central", "central", "`NAMES` in the certificates of the processes of the centre, joined by commas")
	wss := fs.Bool("wss", false, "gateways connect over WebSocket, compressed")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *file == "" || *nodes == "" {
		fmt.Fprintln(fs.Output(), "faultline cluster: -config FILE and -nodes NODES are needed, such as -nodes n1=nats1.example.com,n2=nats2.example.com,n3=nats3.example.com")
		return errUsage
	}
	cfg, err := LoadConfig(*file)
	if err != nil {
		return err
	}
	c := bus.Cluster{Partitions: cfg.Hub.Partitions, StoreDir: *data, Certs: *certs, WebSocket: *wss, Subject: func(site, gateway string) string {
		return pki.Identity{Role: pki.RoleGateway, Name: gateway, Site: site}.String()
	}}
	if c.Partitions == 0 {
		c.Partitions = externalPartitions
	}
	for _, name := range splitList(*central) {
		c.Full = append(c.Full, pki.Identity{Role: pki.RoleCentral, Name: name}.String())
	}
	for _, g := range cfg.Gateways {
		c.Gateways = append(c.Gateways, [2]string{g.Site, g.ID})
	}
	for _, n := range splitList(*nodes) {
		name, at, ok := strings.Cut(n, "=")
		if !ok || at == "" {
			return fmt.Errorf("node %q: write name=host or name=host:port", n)
		}
		node := bus.Node{Name: name, Host: at, Port: 4222}
		if host, port, err := net.SplitHostPort(at); err == nil {
			if node.Port, err = strconv.Atoi(port); err != nil {
				return fmt.Errorf("node %q: port %q is no number", n, port)
			}
			node.Host = host
		}
		c.Nodes = append(c.Nodes, node)
	}
	var urls []string
	scheme := "tls://"
	if *wss {
		scheme = "wss://"
	}
	for _, n := range c.Nodes {
		text, err := c.File(n.Name)
		if err != nil {
			return err
		}
		name := filepath.Join(*dir, n.Name+".conf")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the configuration of node %s: %w", n.Name, err)
		}
		urls = append(urls, scheme+net.JoinHostPort(n.Host, strconv.Itoa(n.Port)))
		fmt.Fprintf(out, "%s: nats-server -c %s; its certificate: faultline certs hub -name %s -host %s\n", n.Name, name, n.Name, n.Host)
	}
	fmt.Fprintf(out, "hub.url of the centre and the gateways: %s\n", strings.Join(urls, ","))
	return nil
}
