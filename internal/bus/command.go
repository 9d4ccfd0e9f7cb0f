package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/faultline-iot/faultline"
)

// commandTime is how long Send waits for a result.
const commandTime = 2 * time.Second

// Tick stores the hub's second in a partition's stream; for the owner of the partition.
func (h *Hub) Tick(ctx context.Context, partition int, at time.Time) error {
	data, err := json.Marshal(struct {
		At time.Time `json:"at"`
	}{at})
	if err != nil {
		return fmt.Errorf("tick partition %d: %w", partition, err)
	}
	r := record{subject: "c." + strconv.Itoa(partition), header: []string{headerKind, kindTick}, data: data}
	if _, err := h.conn.one(ctx, r.message()); err != nil {
		return fmt.Errorf("tick partition %d: %w", partition, err)
	}
	return nil
}

// Order stores a command in a partition's stream and waits for no result; for the owner of the partition.
func (h *Hub) Order(ctx context.Context, partition int, cmd faultline.Command) error {
	if err := faultline.CheckName("command id", cmd.ID); err != nil {
		return err
	}
	data, err := json.Marshal(cmd)
	if err != nil {
		return fmt.Errorf("order %s in partition %d: %w", cmd.ID, partition, err)
	}
	r := record{
		subject: "c." + strconv.Itoa(partition), data: data,
		header: []string{headerKind, kindCommand, headerID, "command/" + cmd.ID},
	}
	if _, err := h.conn.one(ctx, r.message()); err != nil {
		return fmt.Errorf("order %s in partition %d: %w", cmd.ID, partition, err)
	}
	return nil
}

// Send stores a command in the stream of its site and waits up to 2 s for what rules make of it.
// ErrPending: the command is stored, the result is not there yet. Any other error: the command may be
// stored; sending it again with the same ID within an hour does not repeat it.
func (h *Hub) Send(ctx context.Context, cmd faultline.Command) (faultline.CommandResult, error) {
	var res faultline.CommandResult
	if err := faultline.CheckName("command id", cmd.ID); err != nil {
		return res, err
	}
	if err := faultline.CheckName("site", cmd.Site); err != nil {
		return res, err
	}
	data, err := json.Marshal(cmd)
	if err != nil {
		return res, fmt.Errorf("send command %s: %w", cmd.ID, err)
	}
	msgs := make(chan *nats.Msg, 1)
	sub, err := h.conn.nc.ChanSubscribe("result."+cmd.ID, msgs)
	if err != nil {
		return res, fmt.Errorf("send command %s: %w", cmd.ID, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is closed, which ends it too
	r := record{
		subject: "c." + strconv.Itoa(h.Partition(cmd.Site)), data: data,
		header: []string{headerKind, kindCommand, headerID, "command/" + cmd.ID},
	}
	if _, err := h.conn.one(ctx, r.message()); err != nil {
		return res, fmt.Errorf("send command %s: %w", cmd.ID, err)
	}
	t := time.NewTimer(commandTime)
	defer t.Stop()
	select {
	case m := <-msgs:
		if err := json.Unmarshal(m.Data, &res); err != nil {
			return res, fmt.Errorf("result of command %s: %w", cmd.ID, err)
		}
		return res, nil
	case <-t.C:
		return res, fmt.Errorf("command %s: %w", cmd.ID, ErrPending)
	case <-ctx.Done():
		return res, fmt.Errorf("command %s: %w: %w", cmd.ID, ErrPending, context.Cause(ctx))
	}
}

// Answer tells whoever waits in Send what became of a command. Nothing is stored, and nobody may wait.
func (h *Hub) Answer(_ context.Context, res faultline.CommandResult) error {
	if err := faultline.CheckName("command id", res.ID); err != nil {
		return err
	}
	data, err := json.Marshal(res)
	if err != nil {
		return fmt.Errorf("answer command %s: %w", res.ID, err)
	}
	if err := h.conn.nc.Publish("result."+res.ID, data); err != nil {
		return fmt.Errorf("answer command %s: %w", res.ID, err)
	}
	return nil
}
