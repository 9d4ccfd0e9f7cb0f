package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// What becomes of frames that are not as they should be: each row is frames of one point, with a limit of 7.1 for 3 s.
func TestFramesThatAreNotInOrder(t *testing.T) {
	set, err := Load(nil, File{"x.rules.yaml", []byte("rules: [{id: r, title: R, kind: threshold, asset_kind: pump, point: v, limits: {high: 7.1}, on_delay: 3s, off_delay: 5s, failure_mode: other, family: other}]")})
	if err != nil {
		t.Fatal(err)
	}
	p := &faultline.Position{Site: "plant", ID: "P-1", Kind: "pump", Points: []faultline.Point{{Name: "v", Unit: "mm/s", Type: faultline.TypeFloat}}}
	type frame struct {
		at      float64 // event time, in seconds
		value   float64
		quality faultline.Quality
		seq     uint64        // 0: the next one
		epoch   string        // "e" if left out
		lag     time.Duration // that it is stored late
	}
	run := func(from, to, value float64) (list []frame) {
		for at := from; at <= to; at++ {
			list = append(list, frame{at: at, value: value})
		}
		return list
	}
	join := func(parts ...[]frame) []frame { return slices.Concat(parts...) }
	one := func(f frame) []frame { return []frame{f} }
	const duplicate, old, ahead = frameDuplicate, frameOld, frameAhead
	for _, c := range []struct {
		name   string
		frames []frame
		fates  map[int]frameFate // of the frames that are not judged
		want   string            // transitions with their event times
	}{
		{"in order", join(run(0, 4, 2), run(5, 9, 8), run(10, 20, 2)), nil, "raised 8, cleared 15"},
		{"delivered twice", join(run(0, 4, 2), run(5, 6, 8), one(frame{at: 6, value: 2, seq: 7}), run(7, 9, 8)), map[int]frameFate{7: duplicate}, "raised 8"},
		{"an older sequence with a newer time", join(run(0, 4, 2), run(5, 6, 8), one(frame{at: 6.5, value: 2, seq: 3}), run(7, 9, 8)), map[int]frameFate{7: duplicate}, "raised 8"},
		{"out of order in time", join(run(0, 4, 2), run(5, 6, 8), one(frame{at: 4.5, value: 2}), run(7, 9, 8)), map[int]frameFate{7: old}, "raised 8"},
		{"the same time again", join(run(0, 4, 2), run(5, 6, 8), one(frame{at: 6, value: 2}), run(7, 9, 8)), map[int]frameFate{7: old}, "raised 8"},
		{"a new epoch counts anew", join(run(0, 4, 2), one(frame{at: 5, value: 8, seq: 1, epoch: "f"}), one(frame{at: 8, value: 8, seq: 2, epoch: "f"})), nil, "raised 8"},
		{"a gap within the delay", join(run(0, 4, 2), run(5, 6, 8), run(600, 601, 8)), nil, "raised 600"},
		{"a gap while it is active", join(run(0, 4, 2), run(5, 9, 8), run(3600, 3610, 2)), nil, "raised 8, cleared 3605"},
		{"bad quality counts towards no delay", join(run(0, 4, 2), run(5, 6, 8), one(frame{at: 7, quality: faultline.BadTimeout}), one(frame{at: 60, quality: faultline.BadTimeout}), run(61, 63, 8)), nil, "raised 62"},
		{"bad quality clears nothing", join(run(0, 4, 2), run(5, 9, 8), one(frame{at: 10, quality: faultline.BadTimeout}), one(frame{at: 100, quality: faultline.BadNotAvailable})), nil, "raised 8"},
		{"uncertain quality is judged", join(run(0, 4, 2), one(frame{at: 5, value: 8, quality: faultline.UncertainClock}), one(frame{at: 8, value: 8, quality: faultline.UncertainClock})), nil, "raised 8"},
		{"late", join(run(0, 4, 2), one(frame{at: 5, value: 8, lag: time.Hour}), one(frame{at: 8, value: 8, lag: time.Hour})), nil, "raised 8 late"},
		{"the clock jumps an hour ahead", join(run(0, 4, 2), run(5, 6, 8), run(3606, 3607, 8)), nil, "raised 3606"},
		{"and back: the past is not judged again", join(run(0, 4, 2), run(3605, 3608, 8), run(9, 12, 2), run(3609, 3615, 2)), map[int]frameFate{9: old, 10: old, 11: old, 12: old}, "raised 3608, cleared 3614"},
		{"it is two days ahead for one frame", join(run(0, 4, 2), one(frame{at: 172805, value: 8, lag: -48 * time.Hour}), run(6, 8, 8), run(9, 9, 8)), map[int]frameFate{5: ahead}, "raised 9"},
		{"a day ahead is believed", join(run(0, 4, 2), one(frame{at: 86404, value: 8, lag: -24 * time.Hour}), one(frame{at: 86407, value: 8, lag: -24 * time.Hour})), nil, "raised 86407"},
	} {
		u, _ := newUnit(set, p)
		var effects []effect
		sequence := uint64(0)
		for i, f := range c.frames {
			sequence++
			id := faultline.FrameID{Gateway: "g", Epoch: "e", Sequence: sequence}
			if f.seq != 0 {
				id.Sequence = f.seq
				sequence--
			}
			if f.epoch != "" {
				id.Epoch = f.epoch
			}
			at := start.Add(time.Duration(f.at * float64(time.Second)))
			s := faultline.Sample{Point: "v", Quality: f.quality, Value: faultline.Float(f.value)}
			if s.Quality == "" {
				s.Quality = faultline.Good
			}
			if s.Quality.IsBad() {
				s.Value = faultline.Value{}
			}
			var fate frameFate
			effects, fate = u.frame(id, &faultline.Frame{Time: at, Samples: []faultline.Sample{s}}, at.Add(f.lag), effects)
			if fate != c.fates[i] {
				t.Errorf("%s: frame %d: fate %d, want %d", c.name, i, fate, c.fates[i])
			}
		}
		var got []string
		for _, e := range effects {
			text := fmt.Sprintf("%s %v", e.event.Transition, e.event.At.Sub(start).Seconds())
			if e.late {
				text += " late"
			}
			got = append(got, text)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}
