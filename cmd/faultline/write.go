package main

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/gateway"
	"github.com/faultline-iot/faultline/gateway/profile"
	"github.com/faultline-iot/faultline/internal/bus"
)

// writable marks the points that a device's configuration lets be written.
func writable(points []faultline.Point, allowed map[string]faultline.Writable) []faultline.Point {
	for i := range points {
		if w, ok := allowed[points[i].Name]; ok {
			points[i].Write = &w
		}
	}
	return points
}

// ownWritesOnly keeps a version of the hub's from letting anything be written: what can be is for the gateway's own
// file to say. A device can be written where that file says the same of it, address and limits included, with
// the same profile; the positions of others that the version would have had written are returned.
func ownWritesOnly(g *gateway.Config, profiles *profile.Set, own *gateway.Config, ownProfiles *profile.Set) (closed []string) {
	g.Devices = slices.Clone(g.Devices)
	for i := range g.Devices {
		d := &g.Devices[i]
		if len(d.Writes) == 0 {
			continue
		}
		same := slices.ContainsFunc(own.Devices, func(o gateway.Device) bool { return reflect.DeepEqual(o, *d) })
		if same {
			p, err := profiles.Get(d.Profile)
			o, oerr := ownProfiles.Get(d.Profile)
			same = err == nil && oerr == nil && bytes.Equal(p.YAML(), o.YAML())
		}
		if !same {
			d.Writes, d.FourEyes = nil, false
			closed = append(closed, d.Position)
		}
	}
	return closed
}

// orders takes orders to write for a gateway, which may begin later than the connection to the hub.
type orders struct {
	site, id string
	gateway  atomic.Pointer[gateway.Gateway]
}

func (o *orders) do(ctx context.Context, order faultline.WriteOrder) faultline.WriteAnswer {
	if g := o.gateway.Load(); g != nil {
		return g.Order(ctx, order)
	}
	return faultline.WriteAnswer{ID: order.ID, Status: faultline.WriteFailed, Message: "not written: the gateway is starting"}
}

// take orders over a connection until ctx ends.
func (o *orders) take(ctx context.Context, c *bus.Conn) error {
	return c.TakeOrders(ctx, o.site, o.id, o.do)
}
