package bus

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// Errors of the bus; test with errors.Is. A publisher that lost its gateway to a newer one fails with
// faultline.ErrFenced.
var (
	ErrFull      = errors.New("stream is full")                                          // publishers wait and try again
	ErrClosed    = errors.New("publisher is closed")                                     // nothing of the call was stored
	ErrUnknown   = errors.New("outcome unknown: the frame may or may not be stored yet") // the call was given up while its batch was on the way
	ErrPending   = errors.New("no result yet")                                           // the command is stored and will be carried out
	ErrPlaceLost = errors.New("place lost")                                              // a *PlaceLostError
)

// PlaceLostError says that a consumer cannot go on where it stands without missing messages.
type PlaceLostError struct {
	From   faultline.Place // where the consumer stands
	Stream string          // the stream that is there now
	First  uint64          // first sequence it can go on with
	Last   uint64          // last sequence of that stream
}

// Error tells what is missing.
func (e *PlaceLostError) Error() string {
	if e.From.Stream != "" && e.From.Stream != e.Stream {
		return fmt.Sprintf("place lost: %s:%d is not in this hub, its stream is now %s (first sequence %d): restored or made anew", e.From.Stream, e.From.Sequence, e.Stream, e.First)
	}
	if e.From.Sequence > e.Last {
		return fmt.Sprintf("place lost: %s ends at %d, before %d: its end was lost", e.Stream, e.Last, e.From.Sequence)
	}
	return fmt.Sprintf("place lost: %s holds no messages %d to %d", e.Stream, e.From.Sequence+1, e.First-1)
}

// Is makes errors.Is(err, ErrPlaceLost) true.
func (e *PlaceLostError) Is(target error) bool { return target == ErrPlaceLost }

// Resume is the place from which consuming goes on after what is missing has been reported.
func (e *PlaceLostError) Resume() faultline.Place {
	return faultline.Place{Stream: e.Stream, Sequence: e.First - 1}
}

// Codes of the server's answers that matter here.
const (
	codeDuplicate     = 10201 // a message of the batch is stored already: nothing of the batch was stored
	codeWrongLast     = 10071 // the claim is not the newest
	codeWrongLastBusy = 10164 // the same, from a clustered stream
	codeStoreFailed   = 10077 // the stream is full, or its disk
	codeNoResources   = 10023 // the server's limit is reached
	codeAccountFull   = 10002
	codeTooLarge      = 10054 // the message exceeds the stream's maximum
	codeOverlap       = 10065 // subjects overlap with another stream
)

func code(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	return 0
}

// fault is what to do about a failed write.
type fault uint8

const (
	faultUnknown   fault = iota // what was sent may be stored: ask before sending again
	faultFull                   // refused whole for want of space: wait and send again
	faultClaim                  // refused whole: the claim is not the newest
	faultPermanent              // will never be accepted
)

func classify(err error) fault {
	switch code(err) {
	case codeStoreFailed, codeNoResources, codeAccountFull:
		return faultFull
	case codeWrongLast, codeWrongLastBusy:
		return faultClaim
	case codeTooLarge:
		return faultPermanent
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrPermissionViolation):
		return faultPermanent
	case errors.Is(err, faultline.ErrFenced), errors.Is(err, errOtherStream):
		return faultPermanent
	}
	return faultUnknown
}

// errOtherStream says that the hub's stream was replaced under a writer: what it knows of stored
// sequences is void.
var errOtherStream = errors.New("the stream was replaced by another one")
