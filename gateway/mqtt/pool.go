package mqtt

import (
	"context"
	"hash/fnv"
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// pool stores messages of one connection. Those of one topic are stored in order; several topics are
// stored at once, so that one commit to disk takes many.
type pool struct {
	ctx    context.Context         // of the connection
	end    context.CancelCauseFunc // ends the connection: what was not stored comes again on the next one
	queues [workers]chan paho.Message
	wg     sync.WaitGroup
}

// newPool starts the workers. They store in run, which outlives the connection: what is on its way to
// the disk when a connection breaks is finished and remembered, so that its redelivery is known.
func newPool(run, ctx context.Context, end context.CancelCauseFunc, r *receiver) *pool {
	p := &pool{ctx: ctx, end: end}
	for i := range p.queues {
		q := make(chan paho.Message, queued)
		p.queues[i] = q
		p.wg.Go(func() { p.work(run, r, q) })
	}
	return p
}

func (p *pool) work(run context.Context, r *receiver, q <-chan paho.Message) {
	for {
		select {
		case <-p.ctx.Done():
			return
		case m := <-q:
			err := r.receive(run, packet{topic: m.Topic(), payload: m.Payload(), repeated: m.Duplicate(), retained: m.Retained()})
			if err != nil {
				p.end(err)
				return
			}
			m.Ack()
		}
	}
}

// take queues a message; it blocks while its queue is full, which holds up the broker.
func (p *pool) take(m paho.Message) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(m.Topic())) // a hash takes all
	select {
	case p.queues[h.Sum32()%workers] <- m:
	case <-p.ctx.Done():
	}
}

func (p *pool) wait() { p.wg.Wait() }
