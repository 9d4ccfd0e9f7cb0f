package bus

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/faultline-iot/faultline"
)

// A bundle is one message of an edge stream that holds all frames and heartbeats of a commit, in order: per entry a
// byte that says what it is, then position, profile and payload, each after its length as a uvarint. Its headers give
// the identity of its last frame, or of the one before if it has none (headerLast), and how many frames it has
// (headerFrames); their sequences follow from both. It is stored whole or not at all.

// What an entry of a bundle is.
const (
	entryFrame     = 'f'
	entryPossibly  = 'p' // a frame that may be a duplicate
	entryHeartbeat = 'h'
)

// maxBundle bounds a bundle's bytes, well within a message's.
const maxBundle = 400 << 10

// bundleShare is how many bundles an edge stream has room for at least: its limit drops no more than one at a time.
const bundleShare = 64

// bundleBytes is how large a bundle gets in an edge stream of maxBytes.
func bundleBytes(maxBytes int64) int { return int(min(maxBundle, maxBytes/bundleShare)) }

// appendEntry appends one entry of a bundle.
func appendEntry(dst []byte, kind byte, position, profile string, data []byte) []byte {
	dst = append(dst, kind)
	for _, s := range [...]string{position, profile} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return append(binary.AppendUvarint(dst, uint64(len(data))), data...)
}

// isBundle tells whether a subject of an edge stream is that of bundles.
func isBundle(subject string) bool { return strings.HasPrefix(subject, "edge.b.") }

// bundleOf reads the headers of a bundle: the identity of its last frame and how many it has.
func bundleOf(h nats.Header) (last faultline.FrameID, frames uint64, err error) {
	if last, err = parseID(h.Get(headerLast)); err != nil {
		return last, 0, err
	}
	frames, err = strconv.ParseUint(h.Get(headerFrames), 10, 32)
	if err != nil || frames > last.Sequence {
		return last, 0, fmt.Errorf("%w: a bundle up to %d with %q frames", faultline.ErrInvalid, last.Sequence, h.Get(headerFrames))
	}
	return last, frames, nil
}

// unbundle reads the messages of a bundle, but for their places. The payloads are parts of data. It gives all of
// them or, with an error that is faultline.ErrInvalid, none.
func unbundle(subject string, h nats.Header, data []byte) ([]faultline.Message, error) {
	t := strings.Split(subject, ".")
	if len(t) != 4 || !isBundle(subject) {
		return nil, fmt.Errorf("%w: %q is not a subject of bundles", faultline.ErrInvalid, subject)
	}
	last, frames, err := bundleOf(h)
	if err != nil {
		return nil, err
	}
	id := last
	id.Sequence -= frames
	size := len(data)
	text := func() (b []byte, ok bool) {
		n, used := binary.Uvarint(data)
		if used <= 0 || n > uint64(len(data)-used) {
			return nil, false
		}
		b, data = data[used:used+int(n):used+int(n)], data[used+int(n):]
		return b, true
	}
	var ms []faultline.Message
	for len(data) > 0 {
		kind := data[0]
		data = data[1:]
		position, ok := text()
		profile, ok1 := text()
		payload, ok2 := text()
		if !ok || !ok1 || !ok2 {
			return nil, fmt.Errorf("%w: entry %d of a bundle ends beyond its %d bytes", faultline.ErrInvalid, len(ms)+1, size)
		}
		m := faultline.Message{Site: t[2], Position: string(position), Profile: string(profile), Payload: payload}
		switch kind {
		case entryFrame, entryPossibly:
			id.Sequence++
			m.Kind, m.Possibly = faultline.KindFrame, kind == entryPossibly
		case entryHeartbeat:
			m.Kind = faultline.KindHeartbeat
		default:
			return nil, fmt.Errorf("%w: entry %d of a bundle is of kind %q", faultline.ErrInvalid, len(ms)+1, kind)
		}
		m.ID = id
		ms = append(ms, m)
	}
	if id != last {
		return nil, fmt.Errorf("%w: a bundle of %d frames ends at %d instead of %d", faultline.ErrInvalid, frames, id.Sequence, last.Sequence)
	}
	return ms, nil
}
