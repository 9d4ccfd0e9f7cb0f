package modbus

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

// readAll sends the requests in one piece and takes their answers, in whatever order they come: all of them, or none.
// Modbus TCP has no checksum, so where a device leaves half an answer and goes on, the next answer's bytes can stand
// for the other half; then one answer is missing in the end. An error that is no Exception means that the line must be
// closed. Each answer has its time-out from the one before.
func (l *tcpLine) readAll(ctx context.Context, requests []request, answers []answer) error {
	if len(requests) == 1 {
		data, err := l.read(ctx, requests[0])
		if answers[0].err = err; err == nil {
			answers[0].data = append([]byte(nil), data...)
		} else if isException(err) {
			err = nil
		}
		return err
	}
	first := l.id + 1
	err := l.sendAll(ctx, requests)
	for left := len(requests); err == nil && left > 0; {
		var k int
		var a answer
		if k, a, err = l.takeOne(first, requests, answers); err == nil && k >= 0 {
			answers[k] = a
			left--
			err = l.extend(ctx, requests[0].timeout)
		}
	}
	if err == nil {
		return nil
	}
	for i := range answers {
		answers[i] = answer{err: err}
	}
	return err
}

// extend sets the time-out of the next answer.
func (l *tcpLine) extend(ctx context.Context, timeout time.Duration) error {
	if err := l.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	return ctx.Err() // after SetDeadline, which would undo the deadline that ends with ctx
}

func (l *tcpLine) sendAll(ctx context.Context, requests []request) error {
	if l.conn == nil {
		return errNotConnected
	}
	if err := pause(ctx, time.Until(l.last.Add(requests[0].pause))); err != nil {
		return err
	}
	if err := l.extend(ctx, requests[0].timeout); err != nil {
		return err
	}
	out := make([]byte, 0, 12*MaxPipeline)
	for _, r := range requests {
		l.id++
		out = binary.BigEndian.AppendUint16(out, l.id)
		out = append(out, 0, 0, 0, 6, r.unit, functions[r.table])
		out = binary.BigEndian.AppendUint16(out, r.address)
		out = binary.BigEndian.AppendUint16(out, r.count)
	}
	_, err := l.conn.Write(out)
	return err
}

// takeOne takes the next answer and tells to which request it is; -1 if to none of these, or again.
func (l *tcpLine) takeOne(first uint16, requests []request, answers []answer) (int, answer, error) {
	for range maxSkipped {
		id, from, body, err := l.frame()
		if err != nil {
			return -1, answer{}, err
		}
		k := int(id - first)
		if k >= len(requests) || answers[k].data != nil || answers[k].err != nil {
			continue // an answer that came twice
		}
		l.last = time.Now()
		r := requests[k]
		switch {
		case from != r.unit:
			return -1, answer{}, fmt.Errorf("%w: it is from unit %d", errDesync, from)
		case body[0] == functions[r.table]|0x80 && len(body) == 2:
			return k, answer{err: Exception(body[1])}, nil
		case body[0] != functions[r.table]:
			return -1, answer{}, fmt.Errorf("%w: it is of function %d", errDesync, body[0])
		case len(body) != 2+r.bytes() || int(body[1]) != r.bytes():
			return -1, answer{}, errDesync
		}
		return k, answer{data: append([]byte(nil), body[2:]...)}, nil
	}
	return -1, answer{}, fmt.Errorf("%w: too many answers that nobody asked for", errDesync)
}
