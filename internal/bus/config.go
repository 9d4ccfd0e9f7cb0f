package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// GatewayConfig is a version of a gateway's configuration, as the centre puts it where the gateway reads it.
type GatewayConfig struct {
	Version int    `json:"version"`
	Body    string `json:"body"`
}

// PutConfig puts the version of a gateway's configuration that is live where the gateway reads it. Putting
// what is there already changes nothing; of two who put at once one fails with faultline.ErrConflict.
func (h *Hub) PutConfig(ctx context.Context, site, gateway string, d GatewayConfig) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := h.putConfig(ctx, site+"."+gateway, d); err != nil {
		return fmt.Errorf("put configuration %d of gateway %s/%s: %w", d.Version, site, gateway, err)
	}
	return nil
}

func (h *Hub) putConfig(ctx context.Context, key string, d GatewayConfig) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	bucket, err := h.conn.js.KeyValue(ctx, configBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		var partition jetstream.Stream
		if partition, err = h.conn.js.Stream(ctx, h.streams[0]); err == nil {
			bucket, err = h.conn.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: configBucket, Description: "configurations of gateways, by site.gateway",
				Replicas: partition.CachedInfo().Config.Replicas, Storage: jetstream.FileStorage,
			})
		}
	}
	if err != nil {
		return err
	}
	is, err := bucket.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		_, err = bucket.Create(ctx, key, data)
	case err != nil:
	case string(is.Value()) == string(data):
	default:
		_, err = bucket.Update(ctx, key, data, is.Revision())
	}
	if errors.Is(err, jetstream.ErrKeyExists) {
		err = fmt.Errorf("%w: another process has just put one", faultline.ErrConflict)
	}
	return err
}

// Config reads the configuration that the hub has for a gateway; faultline.ErrNotFound if it has none.
func (c *Conn) Config(ctx context.Context, site, gateway string) (d GatewayConfig, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	fail := func(err error) (GatewayConfig, error) {
		if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrKeyNotFound) {
			err = faultline.ErrNotFound
		}
		return GatewayConfig{}, fmt.Errorf("read the configuration of gateway %s/%s at the hub: %w", site, gateway, err)
	}
	bucket, err := c.js.KeyValue(ctx, configBucket)
	if err != nil {
		return fail(err)
	}
	e, err := bucket.Get(ctx, site+"."+gateway)
	if err != nil {
		return fail(err)
	}
	if err := json.Unmarshal(e.Value(), &d); err != nil {
		return fail(fmt.Errorf("%w: %w", faultline.ErrInvalid, err))
	}
	if d.Version < 1 {
		return fail(fmt.Errorf("%w: version %d", faultline.ErrInvalid, d.Version))
	}
	return d, nil
}
