package bus

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/faultline-iot/faultline"
)

// The subjects of a partition's stream are f.<p>.<site>.<gateway>.<position> (frames),
// h.<p>.<site>.<gateway> (heartbeats), w.<p>.<site>.<gateway> (claims) and c.<p> (ticks and commands).
// An edge stream has edge.b.<site>.<gateway> (bundles of frames and heartbeats) and edge.w.<site>.<gateway> (claims);
// those written by earlier versions have edge.f and edge.h as well.
const (
	headerID       = jetstream.MsgIDHeader // of frames: gateway/epoch/sequence
	headerLast     = "Fl-Last"             // of heartbeats and bundles: the same of the last frame
	headerFrames   = "Fl-Frames"           // of bundles: how many frames
	headerProfile  = "Fl-Profile"
	headerPossibly = "Fl-Possibly"
	headerDropped  = "Fl-Dropped" // of frames and heartbeats at the hub: how many frames before it the edge dropped by its limits
	headerState    = "Fl-State"   // of heartbeats at the hub: how the gateway was when it was forwarded
	headerWriter   = "Fl-Writer"  // of claims
	headerKind     = "Fl-Kind"    // on c.<p>: tick or command

	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"

	kindTick    = "tick"
	kindCommand = "command"
)

// subjects of one gateway in one stream.
type subjects struct {
	frames, heartbeats, claims string
	bundles                    string // of an edge stream only
}

func hubSubjects(partition int, site, gateway string) subjects {
	rest := "." + strconv.Itoa(partition) + "." + site + "." + gateway
	return subjects{frames: "f" + rest, heartbeats: "h" + rest, claims: "w" + rest}
}

func edgeSubjects(site, gateway string) subjects {
	rest := "." + site + "." + gateway
	return subjects{frames: "edge.f" + rest, heartbeats: "edge.h" + rest, claims: "edge.w" + rest, bundles: "edge.b" + rest}
}

// edge lists the subjects of an edge stream.
func (s subjects) edge() []string {
	return []string{s.bundles, s.frames + ".>", s.heartbeats, s.claims}
}

// partitionOf is the partition of a site among n: FNV-1a, 32 bits. It is part of the stored format.
func partitionOf(site string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(site)) // never fails
	return int(h.Sum32() % uint32(n))
}

func formatID(id faultline.FrameID) string {
	return id.Gateway + "/" + id.Epoch + "/" + strconv.FormatUint(id.Sequence, 10)
}

func parseID(s string) (faultline.FrameID, error) {
	gateway, rest, _ := strings.Cut(s, "/")
	epoch, seq, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || gateway == "" || epoch == "" {
		return faultline.FrameID{}, fmt.Errorf("%w: frame id %q: use gateway/epoch/sequence", faultline.ErrInvalid, s)
	}
	return faultline.FrameID{Gateway: gateway, Epoch: epoch, Sequence: n}, nil
}

// parse reads a message of a partition's or an edge's stream but for its place. Kind is 0 for claims, for bundles,
// whose ID is that of their last frame, and for whatever is not ours.
func parse(subject string, h nats.Header, data []byte) (m faultline.Message, err error) {
	t := strings.Split(subject, ".")
	if len(t) > 2 && t[0] == "edge" {
		t = append(t[1:2:2], append([]string{""}, t[2:]...)...)
	}
	m.Payload = data
	switch {
	case t[0] == "f" && len(t) == 5:
		m.Kind, m.Site, m.Position = faultline.KindFrame, t[2], t[4]
		m.Profile, m.Possibly = h.Get(headerProfile), h.Get(headerPossibly) != ""
		m.ID, err = parseID(h.Get(headerID))
	case t[0] == "h" && len(t) == 4:
		m.Kind, m.Site = faultline.KindHeartbeat, t[2]
		m.ID, err = parseID(h.Get(headerLast))
		if s := h.Get(headerState); s != "" {
			m.State = []byte(s)
		}
	case t[0] == "b" && len(t) == 4:
		m.ID, _, err = bundleOf(h)
	case t[0] == "c" && len(t) == 2 && h.Get(headerKind) == kindTick:
		m.Kind = faultline.KindTick
	case t[0] == "c" && len(t) == 2 && h.Get(headerKind) == kindCommand:
		m.Kind = faultline.KindCommand
	}
	if d := h.Get(headerDropped); d != "" && err == nil {
		if m.Dropped, err = strconv.ParseUint(d, 10, 64); err != nil {
			return m, fmt.Errorf("%w: header %s %q is not a count", faultline.ErrInvalid, headerDropped, d)
		}
	}
	return m, err
}
