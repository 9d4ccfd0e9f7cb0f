package bus

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func TestExportAndImport(t *testing.T) {
	h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{})
	p := openPublisher(t, hubPublisher(h))
	publish(t, p, 1, 1500)
	was := consume(t, h, 0, faultline.Place{}, 1500)
	if err := h.Trim(t.Context(), 0, was[9].Place.Sequence); err != nil {
		t.Fatal(err)
	}
	was = was[10:]
	var out bytes.Buffer
	e, err := h.Export(t.Context(), 0, &out)
	if err != nil || e.Messages != uint64(len(was)) || e.Missing != 0 || e.Stream != h.Stream(0) {
		t.Fatalf("%+v, %v", e, err)
	}

	other := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{})
	places := []uint64{0, was[0].Place.Sequence, was[700].Place.Sequence, e.Last + 5}
	at, n, err := other.Import(t.Context(), 0, bytes.NewReader(out.Bytes()), places)
	if err != nil || n != e.Messages || !slices.Equal(at, []uint64{0, 1, 701, n}) {
		t.Fatalf("places %v of %d messages, %v", at, n, err)
	}
	got := consume(t, other, 0, faultline.Place{}, len(was))
	for i := range was {
		w, g := was[i], got[i]
		if g.Place.Stream == w.Place.Stream || g.Place.Sequence != uint64(i+1) {
			t.Fatalf("message %d is at %v", i, g.Place)
		}
		g.Place, w.Place = faultline.Place{}, faultline.Place{}
		if !g.StoredAt.Equal(w.StoredAt) {
			t.Fatalf("message %d was stored at %v, now at %v", i, w.StoredAt, g.StoredAt)
		}
		g.StoredAt, w.StoredAt = time.Time{}, time.Time{}
		if g.ID != w.ID || g.Kind != w.Kind || g.Profile != w.Profile || g.Site != w.Site || string(g.Payload) != string(w.Payload) {
			t.Fatalf("message %d: %+v, want %+v", i, g, w)
		}
	}
	if _, _, err := other.Import(t.Context(), 0, bytes.NewReader(out.Bytes()), nil); !errors.Is(err, faultline.ErrConflict) {
		t.Errorf("imported twice: %v", err)
	}
	// A copy of the copy is the same, and a new publisher begins a new epoch.
	var again bytes.Buffer
	if e, err := other.Export(t.Context(), 0, &again); err != nil || e.Messages != n {
		t.Fatalf("%+v, %v", e, err)
	}
	p = openPublisher(t, hubPublisher(other))
	publish(t, p, 1, 1)
	if last := consume(t, other, 0, faultline.Place{}, len(was)+1); last[len(was)].ID.Epoch == was[0].ID.Epoch || last[len(was)].ID.Sequence != 1 {
		t.Errorf("after the import: %+v", last[len(was)].ID)
	}
	if info, err := other.conn.js.Stream(t.Context(), other.Stream(0)); err != nil || info.CachedInfo().Config.Duplicates != time.Hour {
		t.Errorf("the window of ids is %v, %v", info.CachedInfo().Config.Duplicates, err)
	}
}

func TestAnEmptyExport(t *testing.T) {
	h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{Partitions: 2})
	var out bytes.Buffer
	if e, err := h.Export(t.Context(), 1, &out); err != nil || e.Messages != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	other := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{Partitions: 2})
	if at, n, err := other.Import(t.Context(), 1, &out, []uint64{7}); err != nil || n != 0 || !slices.Equal(at, []uint64{0}) {
		t.Errorf("%v %d %v", at, n, err)
	}
}

func TestADamagedExport(t *testing.T) {
	h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{})
	publish(t, openPublisher(t, hubPublisher(h)), 1, 20)
	var out bytes.Buffer
	if _, err := h.Export(t.Context(), 0, &out); err != nil {
		t.Fatal(err)
	}
	whole := out.Bytes()
	pass := func(exported) error { return nil }
	if err := readExport(bytes.NewReader(whole), pass); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		flipped := slices.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		if err := readExport(bytes.NewReader(flipped), pass); err == nil {
			t.Errorf("byte %d of %d was changed and nobody noticed", i, len(whole))
		}
		if err := readExport(bytes.NewReader(whole[:i]), pass); err == nil {
			t.Errorf("cut off after %d of %d bytes and nobody noticed", i, len(whole))
		}
	}
}

func FuzzExport(f *testing.F) {
	var seed bytes.Buffer
	seed.WriteString(exportMagic)
	record := appendBytes([]byte{1, 2}, "f.0.s.g.p")
	record = appendBytes(append(record, 0), "data")
	for _, err := range []error{writeExported(&seed, record, false), writeExported(&seed, []byte{1}, true)} {
		if err != nil {
			f.Fatal(err)
		}
	}
	if err := readExport(bytes.NewReader(seed.Bytes()), func(m exported) error {
		if m.seq != 1 || m.subject != "f.0.s.g.p" || string(m.data) != "data" {
			f.Errorf("%+v", m)
		}
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Bytes())
	f.Add([]byte(exportMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = readExport(bytes.NewReader(b), func(m exported) error {
			if len(m.subject)+len(m.data) > len(b) {
				t.Error("more came out than went in")
			}
			return nil
		})
		if m, err := parseExported(b); err == nil && m.subject == "" {
			t.Error("a message without a subject")
		}
	})
}
