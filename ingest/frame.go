package ingest

import (
	"fmt"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/bus"
	"github.com/faultline-iot/faultline/internal/tsdb"
)

const (
	// maxFrame is the largest frame in bytes; the store takes many frames at once.
	maxFrame = 512 << 10
	// maxDeadLine and maxReason bound a dead letter.
	maxDeadLine = 64 << 10
	maxReason   = 500
)

// checker says whether frames may be written as they are. It is not safe for concurrent use.
type checker struct {
	decoder bus.Decoder
	frame   faultline.Frame // the last one
}

// check decodes the message's payload, which is one line that every InfluxDB takes, unless it has
// another type for one of its fields already. The frame is valid until the next call.
func (c *checker) check(m *faultline.Message) (*faultline.Frame, error) {
	if len(m.Payload) > maxFrame {
		return nil, fmt.Errorf("%w: frame of %d bytes: at most %d are taken", faultline.ErrInvalid, len(m.Payload), maxFrame)
	}
	f := &c.frame
	if err := c.decoder.Decode(m.Payload, f); err != nil {
		return nil, err
	}
	switch {
	case f.Site != m.Site || f.Position != m.Position || f.Gateway != m.ID.Gateway:
		return nil, fmt.Errorf("%w: frame of %s/%s by %s came as one of %s/%s by %s", faultline.ErrInvalid, f.Site, f.Position, f.Gateway, m.Site, m.Position, m.ID.Gateway)
	case strings.HasPrefix(f.Kind, tsdb.Reserved):
		return nil, fmt.Errorf("%w: asset kind %q: names beginning with %s are reserved", faultline.ErrInvalid, f.Kind, tsdb.Reserved)
	case f.Time.Sub(m.StoredAt) > faultline.MaxAhead: // it would open shards in the future, where nobody looks
		return nil, fmt.Errorf("%w: frame of %s is more than %v ahead of %s, when the hub stored it", faultline.ErrInvalid, f.Time.Format(time.RFC3339), faultline.MaxAhead, m.StoredAt.Format(time.RFC3339))
	}
	return f, nil
}

// checkID says whether the message can be put into the ledger.
func checkID(m *faultline.Message) error {
	if err := checkGateway(m); err != nil {
		return err
	}
	if m.ID.Sequence == 0 {
		return fmt.Errorf("%w: frame of %s/%s without a sequence", faultline.ErrInvalid, m.Site, m.ID.Gateway)
	}
	return faultline.CheckName("epoch", m.ID.Epoch)
}

func checkGateway(m *faultline.Message) error {
	if err := faultline.CheckName("gateway", m.ID.Gateway); err != nil {
		return err
	}
	return faultline.CheckName("site", m.Site)
}

// deadLetter keeps a message that will never be written. Text is made valid UTF-8 without NUL, as the
// store might refuse it otherwise, again and again.
func deadLetter(m *faultline.Message, reason error) faultline.DeadLetter {
	line, why := m.Payload, reason.Error()
	if len(line) > maxDeadLine {
		why = fmt.Sprintf("%s (the first %d of %d bytes are kept)", why, maxDeadLine, len(line))
		line = line[:maxDeadLine]
	}
	if len(why) > maxReason {
		why = why[:maxReason] + "…"
	}
	return faultline.DeadLetter{
		At: m.StoredAt, Site: text(m.Site), Gateway: text(m.ID.Gateway), Epoch: text(m.ID.Epoch), Sequence: m.ID.Sequence,
		Line: text(string(line)), Reason: text(why),
	}
}

func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
