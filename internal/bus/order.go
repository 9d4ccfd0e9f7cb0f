package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/faultline-iot/faultline"
)

// Orders to write go over core NATS, never through a stream: what cannot be delivered now must not be
// carried out later. The first step asks the gateway whether it can; the word that it answers is
// brought back in the second, which it takes only for a few seconds of its own clock and only once. So
// an order is carried out at most once and never late, without clocks that agree.
//
// What a failure leaves: no answer to the first step, and nothing is written. No answer to the second,
// and nobody knows: that is said, not guessed.

const (
	readyTime  = 3 * time.Second  // for the first step
	orderTime  = 20 * time.Second // for the second; longer than gateways take
	mostOrders = 16               // at once, of one gateway
	maxOrder   = 16 << 10         // bytes
)

// orderSubject is where a gateway takes orders. No stream listens there, whatever the site is called: a
// stored order could be carried out late, and a stream's acknowledgement taken for an answer.
func orderSubject(site, gateway string) string { return "ctl." + site + "." + gateway }

// TakeOrders hands orders to write for a gateway to do, some at once, until ctx ends; then it waits for
// those under way and returns nil.
func (c *Conn) TakeOrders(ctx context.Context, site, gateway string, do func(context.Context, faultline.WriteOrder) faultline.WriteAnswer) error {
	msgs := make(chan *nats.Msg, mostOrders)
	sub, err := c.nc.ChanSubscribe(orderSubject(site, gateway), msgs)
	if err != nil {
		return fmt.Errorf("take orders of %s/%s: %w", site, gateway, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is closed, which ends it too
	var under sync.WaitGroup
	defer under.Wait()
	slots := make(chan struct{}, mostOrders)
	for {
		var m *nats.Msg
		select {
		case <-ctx.Done():
			return nil
		case m = <-msgs:
		}
		order, err := parseOrder(m.Data)
		if err != nil {
			c.log.Warn("an order was not understood", "gateway", gateway, "error", err)
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		under.Go(func() {
			defer func() { <-slots }()
			// One that has begun is brought to its end: its outcome must be known.
			data, err := json.Marshal(do(context.WithoutCancel(ctx), order))
			if err == nil {
				err = m.Respond(data)
			}
			if err != nil {
				c.log.Warn("the outcome of an order could not be told", "gateway", gateway, "id", order.ID, "error", err)
			}
		})
	}
}

func parseOrder(data []byte) (o faultline.WriteOrder, err error) {
	if len(data) > maxOrder {
		return o, fmt.Errorf("%w: an order of %d bytes", faultline.ErrInvalid, len(data))
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return o, fmt.Errorf("%w: order: %w", faultline.ErrInvalid, err)
	}
	if err := faultline.CheckName("order id", o.ID); err != nil {
		return o, err
	}
	return o, nil
}

// Order has a gateway write and says what became of it. It never fails: what cannot be known is
// faultline.WriteUnknown.
func (c *Conn) Order(ctx context.Context, site, gateway string, o faultline.WriteOrder) faultline.WriteAnswer {
	failed := func(why string) faultline.WriteAnswer {
		return faultline.WriteAnswer{ID: o.ID, Status: faultline.WriteFailed, Message: "not written: " + why}
	}
	for _, n := range [...][2]string{{"order id", o.ID}, {"site", site}, {"gateway", gateway}} {
		if err := faultline.CheckName(n[0], n[1]); err != nil {
			return failed(err.Error())
		}
	}
	o.Commit = ""
	first, err := c.step(ctx, site, gateway, o, readyTime)
	switch {
	case err != nil:
		return failed("gateway " + gateway + " cannot be reached (" + err.Error() + ")")
	case first.Ready == "":
		if first.Status != faultline.WriteFailed { // it has not been asked to write yet
			first.Status = faultline.WriteFailed
		}
		return first
	case !time.Now().Before(o.Deadline):
		return failed("it took too long")
	}
	o.Commit = first.Ready
	// Whoever hangs up does not make the outcome unknown.
	second, err := c.step(context.WithoutCancel(ctx), site, gateway, o, orderTime)
	if err != nil {
		return faultline.WriteAnswer{ID: o.ID, Status: faultline.WriteUnknown, Message: "it is not known whether it was written: gateway " + gateway + " took the order but gave no answer (" + err.Error() + "): look at the equipment"}
	}
	if !second.Status.Ended() || second.Status == "" {
		second.Status = faultline.WriteUnknown
	}
	return second
}

var errNobody = errors.New("it is not connected")

// step sends one step and waits for its answer. It is not sent again.
func (c *Conn) step(ctx context.Context, site, gateway string, o faultline.WriteOrder, patience time.Duration) (a faultline.WriteAnswer, err error) {
	data, err := json.Marshal(o)
	if err != nil {
		return a, err
	}
	inbox := c.nc.NewInbox()
	msgs := make(chan *nats.Msg, 4)
	sub, err := c.nc.ChanSubscribe(inbox, msgs)
	if err != nil {
		return a, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is closed, which ends it too
	if err := c.nc.PublishMsg(&nats.Msg{Subject: orderSubject(site, gateway), Reply: inbox, Data: data}); err != nil {
		return a, err
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return a, fmt.Errorf("no answer within %v", patience)
		case <-ctx.Done():
			return a, context.Cause(ctx)
		case m := <-msgs:
			if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
				return a, errNobody
			}
			a = faultline.WriteAnswer{}
			if json.Unmarshal(m.Data, &a) == nil && a.ID == o.ID {
				return a, nil
			}
		}
	}
}
