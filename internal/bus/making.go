package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errIncomplete says that partitions are to be made.
var errIncomplete = errors.New("partitions are missing")

// Processes that start together all find that partitions are missing. The server does not see that two
// streams which it is asked for at the same moment have the same subjects; it lets only one of them have a
// name, though. So whoever makes partitions holds a stream of one fixed name meanwhile.
const (
	makingStream = "FL-HUB-MAKING"
	makingFor    = 30 * time.Second // then its maker is dead
)

// makeHub opens the hub and makes what is missing, as the only process that does.
func (c *Conn) makeHub(ctx context.Context, cfg HubConfig) (*Hub, error) {
	for attempt := 0; ; attempt++ {
		err := c.begin(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil, fmt.Errorf("open hub: %w", err)
		}
		if err := pause(ctx, min(attempt, 3)); err != nil {
			return nil, fmt.Errorf("open hub: another process makes it: %w", err)
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
		defer cancel()
		_ = c.js.DeleteStream(ctx, makingStream) // or it is taken for dead
	}()
	return c.openHub(ctx, cfg, true)
}

// begin takes the name; the error is ErrStreamNameAlreadyInUse while another process has it.
func (c *Conn) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := c.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: makingStream, Subjects: []string{"making.hub"}, Storage: jetstream.MemoryStorage, MaxMsgs: 1,
		Metadata: map[string]string{"maker": token(16)}, // an equal one would not be refused
	})
	if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return err
	}
	s, infoErr := c.js.Stream(ctx, makingStream)
	if infoErr == nil && s.CachedInfo().TimeStamp.Sub(s.CachedInfo().Created) > makingFor {
		_ = c.js.DeleteStream(ctx, makingStream)
	}
	return err
}
