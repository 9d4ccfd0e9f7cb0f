package bus

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/faultline-iot/faultline"
)

func bundleHeader(last string, frames int) nats.Header {
	return nats.Header{headerLast: {last}, headerFrames: {strconv.Itoa(frames)}}
}

func TestBundle(t *testing.T) {
	p := &Publisher{gateway: "gw1", epoch: "e", bundle: 1000, w: &writer{subj: edgeSubjects("plant-3", "gw1")}, last: 6}
	batch := []*waiting{
		{data: []byte("alive")},
		{frame: true, position: "P-1", meta: Meta{Profile: "pump@1"}, data: []byte("one")},
		{frame: true, position: "P-2", meta: Meta{Possibly: true}, data: []byte("two")},
		{data: []byte("still alive")},
	}
	p.number(batch)
	recs := p.records(batch)
	if len(recs) != 1 || recs[0].seq != 8 {
		t.Fatalf("%+v", recs)
	}
	m := recs[0].message()
	ms, err := unbundle(m.Subject, m.Header, m.Data)
	if err != nil {
		t.Fatal(err)
	}
	id := func(n uint64) faultline.FrameID { return faultline.FrameID{Gateway: "gw1", Epoch: "e", Sequence: n} }
	want := []faultline.Message{
		{Kind: faultline.KindHeartbeat, Site: "plant-3", ID: id(6), Payload: []byte("alive")},
		{Kind: faultline.KindFrame, Site: "plant-3", Position: "P-1", Profile: "pump@1", ID: id(7), Payload: []byte("one")},
		{Kind: faultline.KindFrame, Site: "plant-3", Position: "P-2", Possibly: true, ID: id(8), Payload: []byte("two")},
		{Kind: faultline.KindHeartbeat, Site: "plant-3", ID: id(8), Payload: []byte("still alive")},
	}
	if !slices.EqualFunc(ms, want, func(a, b faultline.Message) bool {
		return a.Kind == b.Kind && a.Site == b.Site && a.Position == b.Position && a.Profile == b.Profile && a.Possibly == b.Possibly && a.ID == b.ID && bytes.Equal(a.Payload, b.Payload)
	}) {
		t.Errorf("%+v", ms)
	}
	if head, err := parse(m.Subject, m.Header, nil); err != nil || head.Kind != 0 || head.ID != id(8) {
		t.Errorf("%+v, %v", head, err)
	}
}

func TestBundleRefuses(t *testing.T) {
	good := appendEntry(nil, entryFrame, "P-1", "pump@1", []byte("one"))
	for name, c := range map[string]struct {
		subject string
		h       nats.Header
		data    []byte
	}{
		"another subject":    {"edge.f.s.g", bundleHeader("g/e/1", 1), good},
		"no identity":        {"edge.b.s.g", nats.Header{}, good},
		"no count":           {"edge.b.s.g", nats.Header{headerLast: {"g/e/1"}}, good},
		"too few frames":     {"edge.b.s.g", bundleHeader("g/e/2", 2), good},
		"too many frames":    {"edge.b.s.g", bundleHeader("g/e/2", 0), good},
		"before the first":   {"edge.b.s.g", bundleHeader("g/e/0", 1), good},
		"cut":                {"edge.b.s.g", bundleHeader("g/e/1", 1), good[:len(good)-1]},
		"an unknown kind":    {"edge.b.s.g", bundleHeader("g/e/1", 1), append([]byte{'x'}, good[1:]...)},
		"a length overflows": {"edge.b.s.g", bundleHeader("g/e/1", 1), append([]byte{'f'}, bytes.Repeat([]byte{0xff}, 11)...)},
	} {
		if ms, err := unbundle(c.subject, c.h, c.data); !errors.Is(err, faultline.ErrInvalid) || ms != nil {
			t.Errorf("%s: %d messages, %v", name, len(ms), err)
		}
	}
}

func FuzzUnbundle(f *testing.F) {
	data := appendEntry(nil, entryFrame, "P-1", "pump@1", []byte("one"))
	f.Add(3, 1, data)
	f.Add(3, 2, appendEntry(appendEntry(data, entryHeartbeat, "", "", []byte("{}")), entryPossibly, "P-2", "", nil))
	f.Add(0, 0, []byte{})
	f.Add(1, 1, []byte{'f', 0x80})
	f.Fuzz(func(t *testing.T, last, frames int, data []byte) {
		ms, err := unbundle("edge.b.s.g", bundleHeader("g/e/"+strconv.Itoa(last), frames), data)
		if err != nil {
			if !errors.Is(err, faultline.ErrInvalid) || ms != nil {
				t.Fatalf("%d messages, %v", len(ms), err)
			}
			return
		}
		var again []byte
		got := 0
		for _, m := range ms {
			kind := byte(entryHeartbeat)
			if m.Kind == faultline.KindFrame {
				got++
				if kind = entryFrame; m.Possibly {
					kind = entryPossibly
				}
			}
			again = appendEntry(again, kind, m.Position, m.Profile, m.Payload)
		}
		if got != frames {
			t.Fatalf("%d frames of %d", got, frames)
		}
		// Lengths may be written longer than they need be, so what is read again counts.
		back, err := unbundle("edge.b.s.g", bundleHeader("g/e/"+strconv.Itoa(last), frames), again)
		if err != nil || len(back) != len(ms) || len(again) > len(data) {
			t.Fatalf("%d messages of %d, %v", len(back), len(ms), err)
		}
	})
}

// An edge stream of an earlier version, each frame a message of its own, goes on with bundles: nothing is lost or
// doubled, and what waits is counted in frames.
func TestEdgeOfEarlierVersion(t *testing.T) {
	conn := connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()}))
	h := openHub(t, connectTo(t, startServer(t, ServerConfig{Dir: t.TempDir()})), HubConfig{})
	e := openEdge(t, conn, EdgeConfig{})
	s, err := conn.js.Stream(t.Context(), e.stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Subjects = []string{e.subj.frames + ".>", e.subj.heartbeats, e.subj.claims}
	if _, err := conn.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	subj := e.subj
	subj.bundles = ""
	old, err := conn.openPublisher(t.Context(), publisherConfig{
		site: "plant-3", gateway: "gw1", anchor: subj.claims, subj: subj, interval: e.cfg.CommitInterval,
		epoch: func(last faultline.FrameID) (string, uint64, error) { return e.epoch(t.Context(), last) },
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, old, 1, 30)
	if err := old.Heartbeat(t.Context(), faultline.Heartbeat{Site: "plant-3", Gateway: "gw1", At: at}); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	stop := forward(t, e, h)
	eventually(t, "forwarded in part", func() bool { return e.Uplink().Last.Sequence == 30 })
	stop()

	e = openEdge(t, conn, EdgeConfig{})
	p := openPublisher(t, e.Publisher)
	if p.Epoch() != old.Epoch() || p.Last() != 30 {
		t.Fatalf("%s/%d, then %s/%d", old.Epoch(), old.Last(), p.Epoch(), p.Last())
	}
	if got, err := p.Recent(t.Context(), 100); err != nil || len(got) != 30 {
		t.Fatalf("%d recent frames, %v", len(got), err)
	}
	publish(t, p, 31, 45)
	if err := e.MeasureBacklog(t.Context()); err != nil || e.Uplink().Backlog != 15 {
		t.Fatalf("backlog %d, %v", e.Uplink().Backlog, err)
	}
	if got, err := p.Recent(t.Context(), 40); err != nil || len(got) != 40 {
		t.Fatalf("%d recent frames, %v", len(got), err)
	}
	defer forward(t, e, h)()
	complete(t, consume(t, h, 0, faultline.Place{}, 45), p.Epoch(), 1, 45)
}
