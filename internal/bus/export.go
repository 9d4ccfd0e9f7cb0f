package bus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// An export is the messages of a partition's stream in order: a magic line, then records, each with its
// length before it and its CRC-32C behind it, and at last a record of length 0 with their number. What
// is cut off or damaged anywhere is an error, not a shorter stream.

const (
	exportMagic  = "faultline stream 1\n"
	maxExported  = 8 << 20 // of one record; a message is at most 1 MB
	headerStored = "Fl-Stored-At"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Exported is what an export holds.
type Exported struct {
	Stream      string `json:"stream"`
	First, Last uint64 // sequences that there were at its beginning; First = Last+1: none
	Messages    uint64
	Missing     uint64 // sequences between them that the stream does not have, damaged on disk
	MaxBytes    int64  // the stream's limit
}

// exported is one message of an export.
type exported struct {
	seq     uint64
	at      time.Time
	subject string
	header  []string
	data    []byte
}

// Export writes a partition's messages as they are now. It may run beside everything else: messages that
// come meanwhile are left out.
func (h *Hub) Export(ctx context.Context, partition int, w io.Writer) (Exported, error) {
	e, err := h.export(ctx, partition, w)
	if err != nil {
		return e, fmt.Errorf("export partition %d: %w", partition, err)
	}
	return e, nil
}

func (h *Hub) export(ctx context.Context, partition int, w io.Writer) (e Exported, err error) {
	s, err := h.conn.js.Stream(ctx, h.streams[partition])
	if err != nil {
		return e, notFound(err)
	}
	st := stateOf(s.CachedInfo())
	e = Exported{Stream: st.Stream, First: st.First, Last: st.Last, MaxBytes: st.MaxBytes}
	out := bufio.NewWriterSize(w, 1<<20)
	if _, err := out.WriteString(exportMagic); err != nil {
		return e, err
	}
	if st.Messages > 0 {
		if err := h.exportMessages(ctx, s, &e, out); err != nil {
			return e, err
		}
	}
	if err := writeExported(out, binary.AppendUvarint(nil, e.Messages), true); err != nil {
		return e, err
	}
	return e, out.Flush()
}

func (h *Hub) exportMessages(ctx context.Context, s jetstream.Stream, e *Exported, out io.Writer) error {
	cons, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: e.First, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { _ = s.DeleteConsumer(context.WithoutCancel(ctx), cons.CachedInfo().Name) }() // else the server does it after its threshold
	next := e.First
	var buf []byte
	for next <= e.Last {
		batch, err := cons.Fetch(maxHandle, jetstream.FetchMaxWait(answerTime))
		if err != nil {
			return err
		}
		got := 0
		for m := range batch.Messages() {
			got++
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			seq := meta.Sequence.Stream
			if seq < next {
				return fmt.Errorf("message %d came after %d", seq, next-1)
			}
			e.Missing += min(seq, e.Last+1) - next
			if next = seq + 1; seq > e.Last {
				return nil
			}
			if strings.HasPrefix(m.Subject(), "w.") {
				continue // claims: writers claim again
			}
			buf = appendExported(buf[:0], seq, meta.Timestamp, m)
			if err := writeExported(out, buf, false); err != nil {
				return err
			}
			e.Messages++
		}
		if err := batch.Error(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if got == 0 {
			// The last ones are damaged, or the stream was trimmed below them.
			info, err := s.Info(ctx)
			if err != nil {
				return err
			}
			if st := stateOf(info); st.First > next {
				return fmt.Errorf("trimmed to %d while %d was read", st.First, next)
			}
			e.Missing += e.Last + 1 - next
			return nil
		}
	}
	return nil
}

// appendExported writes one message. Headers of NATS itself say how it was stored, and are left out but
// for its id.
func appendExported(b []byte, seq uint64, at time.Time, m jetstream.Msg) []byte {
	var header []string
	for k, v := range m.Headers() {
		switch {
		case len(v) == 0 || strings.HasPrefix(k, "Nats-") && k != headerID:
		case k == headerStored:
			if ns, err := strconv.ParseInt(v[0], 10, 64); err == nil {
				at = time.Unix(0, ns)
			}
		default:
			header = append(header, k, v[0])
		}
	}
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendVarint(b, at.UnixNano())
	b = appendBytes(b, m.Subject())
	b = binary.AppendUvarint(b, uint64(len(header)))
	for _, s := range header {
		b = appendBytes(b, s)
	}
	return appendBytes(b, string(m.Data()))
}

func appendBytes(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// writeExported frames a record; the last has the length 0 before it, its own after that.
func writeExported(w io.Writer, record []byte, last bool) error {
	head := binary.AppendUvarint(nil, uint64(len(record)))
	if last {
		head = append([]byte{0}, head...)
	}
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(record, castagnoli))
	for _, b := range [][]byte{head, record, sum} {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

var errDamaged = fmt.Errorf("%w: the export is damaged", faultline.ErrInvalid)

// readExport hands over the messages of an export, and fails if it does not end as it should.
func readExport(r io.Reader, each func(exported) error) error {
	in := bufio.NewReaderSize(r, 1<<20)
	magic := make([]byte, len(exportMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != exportMagic {
		return fmt.Errorf("%w: it does not begin as one", errDamaged)
	}
	for n := uint64(0); ; n++ {
		size, err := binary.ReadUvarint(in)
		last := err == nil && size == 0
		if last {
			size, err = binary.ReadUvarint(in)
		}
		if err != nil || size > maxExported {
			return fmt.Errorf("%w after %d messages", errDamaged, n)
		}
		b := make([]byte, size+4)
		if _, err := io.ReadFull(in, b); err != nil {
			return fmt.Errorf("%w: it ends after %d messages", errDamaged, n)
		}
		if record := b[:size]; crc32.Checksum(record, castagnoli) != binary.BigEndian.Uint32(b[size:]) {
			return fmt.Errorf("%w: message %d has another checksum", errDamaged, n+1)
		} else if last {
			if count, k := binary.Uvarint(record); k <= 0 || count != n {
				return fmt.Errorf("%w: %d messages instead of %d", errDamaged, n, count)
			}
			return nil
		}
		m, err := parseExported(b[:size])
		if err != nil {
			return err
		}
		if err := each(m); err != nil {
			return err
		}
	}
}

func parseExported(b []byte) (m exported, err error) {
	bad := false
	uvarint := func() uint64 {
		v, n := binary.Uvarint(b)
		if bad = bad || n <= 0; bad {
			return 0
		}
		b = b[n:]
		return v
	}
	text := func() string {
		n := uvarint()
		if bad = bad || n > uint64(len(b)); bad {
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	m.seq = uvarint()
	ns, n := binary.Varint(b)
	if bad = bad || n <= 0; !bad {
		b = b[n:]
	}
	m.at, m.subject = time.Unix(0, ns).UTC(), text()
	for range min(uvarint(), 64) {
		m.header = append(m.header, text())
	}
	m.data = []byte(text())
	if bad || len(b) > 0 || len(m.header)%2 != 0 || m.subject == "" {
		return m, fmt.Errorf("%w: a message cannot be read", errDamaged)
	}
	return m, nil
}

// Import stores the messages of an export in a partition that has none yet, in their order, and tells
// where places of the old stream are in it: the sequences of places, which must rise, become those of the
// last imported message at or before them. Messages keep the time at which they were stored first.
// A partition that has messages is refused: what an interrupted import left is deleted with its directory.
func (h *Hub) Import(ctx context.Context, partition int, r io.Reader, places []uint64) (at []uint64, messages uint64, err error) {
	fail := func(err error) ([]uint64, uint64, error) {
		return nil, messages, fmt.Errorf("import partition %d: %w", partition, err)
	}
	if !sort.SliceIsSorted(places, func(i, j int) bool { return places[i] < places[j] }) {
		return fail(fmt.Errorf("%w: places do not rise", faultline.ErrInvalid))
	}
	st, err := h.State(ctx, partition)
	if err != nil {
		return fail(err)
	}
	if st.Messages > 0 || st.Last > 0 {
		return fail(fmt.Errorf("%w: %s has messages already", faultline.ErrConflict, st.Stream))
	}
	if err := h.remember(ctx, partition, 100*time.Millisecond); err != nil { // ids of hours come within seconds
		return fail(err)
	}
	at = make([]uint64, 0, len(places))
	var recs []record
	size, batches := 0, 0
	store := func() error {
		if len(recs) == 0 {
			return nil
		}
		batches++
		a, err := h.conn.batch(ctx, "import-"+strconv.Itoa(batches), recs, nil)
		if err != nil {
			return err
		}
		if a.Sequence != messages {
			return fmt.Errorf("the stream is at %d after %d messages: somebody else writes into it", a.Sequence, messages)
		}
		recs, size = recs[:0], 0
		return nil
	}
	err = readExport(r, func(m exported) error {
		if p, err := partitionIn(m.subject); err != nil || p != partition {
			return fmt.Errorf("%w: subject %q is of another partition", errDamaged, m.subject)
		}
		for len(at) < len(places) && places[len(at)] < m.seq {
			at = append(at, messages)
		}
		rec := record{subject: m.subject, header: append(m.header, headerStored, strconv.FormatInt(m.at.UnixNano(), 10)), data: m.data}
		if len(recs) == maxBatchMessages || size+rec.size() > maxBatchBytes {
			if err := store(); err != nil {
				return err
			}
		}
		recs, size = append(recs, rec), size+rec.size()
		messages++
		return nil
	})
	if err == nil {
		err = store()
	}
	if err == nil {
		err = h.remember(ctx, partition, h.cfg.Duplicates)
	}
	if err != nil {
		return fail(err)
	}
	for len(at) < len(places) {
		at = append(at, messages)
	}
	return at, messages, nil
}

// remember sets how long the stream knows ids of messages.
func (h *Hub) remember(ctx context.Context, partition int, d time.Duration) error {
	s, err := h.conn.js.Stream(ctx, h.streams[partition])
	if err != nil {
		return notFound(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Duplicates = d
	_, err = h.conn.js.UpdateStream(ctx, cfg)
	return err
}

// partitionIn reads the partition of a subject of the hub.
func partitionIn(subject string) (int, error) {
	kind, rest, _ := strings.Cut(subject, ".")
	number, _, _ := strings.Cut(rest, ".")
	if kind != "f" && kind != "h" && kind != "c" {
		return 0, errors.New("not of the hub")
	}
	return strconv.Atoi(number)
}

// storedAt is when a message was stored first: a restored stream has it in a header.
func storedAt(h nats.Header, at time.Time) time.Time {
	if v := h.Get(headerStored); v != "" {
		if ns, err := strconv.ParseInt(v, 10, 64); err == nil && ns < at.UnixNano() {
			return time.Unix(0, ns)
		}
	}
	return at
}
