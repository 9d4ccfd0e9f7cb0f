package kind

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-iot/faultline"
)

// Silence of a point: it gives no usable sample though its asset does, so that a dead sensor is not
// hidden and a dead asset is not told once for each of its points. A point that was never reported is
// not missed: not every model has it. Silence of an asset: it gives no usable sample at all.
var silenceType = Type{
	Name:     "silence",
	Uses:     []string{"after", "severity"},
	Severity: faultline.SeverityWarning,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		if s.After < time.Second {
			report("after", "is missing or under 1s: how long without a usable sample is too long?")
		}
	},
	New: func(s *Settings, p *faultline.Point) (Kind, error) {
		return &silence{settings: s, point: p}, nil
	},
	Ticks: true,
	Asset: true,
}

// step is the most that one tick may add to a silence: when the clock itself stood still (its gateway
// was off), the equipment had no chance to be heard.
func (s *Settings) step() int64 { return int64(max(5*time.Second, s.After/4)) }

type silence struct {
	settings *Settings
	point    *faultline.Point // nil: the asset
	last     int64            // the clock: latest tick or sample
	newest   int64            // event time of the newest sample
	heard    int64            // event time of the last usable sample; 0: never; unusable: only bad ones came
	quiet    int64            // ns without one, as far as the clock ran
	others   int64            // of a point: ns since another point of the asset was heard
}

// unusable says that a point is reported, but was never usable.
const unusable = -1

func (k *silence) Observe(at time.Time, s *faultline.Sample) Verdict {
	now := at.UnixNano()
	if now < k.newest { // two samples of a frame share a moment
		return Verdict{}
	}
	k.newest = now
	// A sample may be older than the clock: heartbeats overtake frames, and equipment with a clock of
	// its own lags. It is heard all the same.
	k.pass(now)
	if !s.Quality.IsBad() {
		if k.point == nil || s.Point == k.point.Name {
			k.heard, k.quiet = now, 0
		}
		k.others = 0
	} else if k.heard == 0 && s.Quality != faultline.BadIllegalAddress && (k.point == nil || s.Point == k.point.Name) {
		k.heard = unusable
	}
	return k.verdict()
}

func (k *silence) Tick(at time.Time) Verdict {
	now := at.UnixNano()
	if now <= k.last {
		return Verdict{}
	}
	k.pass(now)
	return k.verdict()
}

// pass lets time go by.
func (k *silence) pass(now int64) {
	if now <= k.last {
		return
	}
	if k.last != 0 {
		d := min(now-k.last, k.settings.step())
		k.quiet += d
		k.others += d
	}
	k.last = now
}

func (k *silence) verdict() Verdict {
	after := int64(k.settings.After)
	switch {
	case k.point != nil && k.heard == 0:
		return Verdict{Judgement: Unknown} // this model does not have the point, or does not send it
	case k.quiet < after:
		return Verdict{Judgement: Fine, Value: float64(k.quiet) / 1e9}
	case k.point != nil && k.others >= after/2:
		return Verdict{Judgement: Unknown} // the whole asset is silent: that is the asset's rule's to say
	}
	return Verdict{
		Judgement: Bad, Severity: severity(k.settings, silenceType.Severity),
		Value: float64(k.quiet) / 1e9, Limit: k.settings.After.Seconds(), Detail: k.heard,
	}
}

func (k *silence) Explain(v Verdict, _ time.Duration) string {
	who := "no usable sample of any point"
	if k.point != nil {
		who = "no usable sample of " + subject(k.point)
	}
	text := who + " for " + span(time.Duration(v.Value*1e9)) + " (allowed: " + span(k.settings.After) + ")"
	if v.Detail <= 0 {
		return text + "; none was ever seen"
	}
	return text + "; the last was at " + time.Unix(0, v.Detail).UTC().Format("2006-01-02 15:04:05 UTC")
}

func (k *silence) began(v Verdict, at time.Time) (time.Time, bool) {
	return at.Add(-time.Duration(math.Round(v.Value * 1e9))), true
}

func (k *silence) Snapshot(dst []byte) []byte {
	return putInt(putInt(putInt(putInt(putInt(dst, k.last), k.newest), k.heard), k.quiet), k.others)
}

func (k *silence) Restore(state []byte) error {
	r := reader{b: state}
	last, newest, heard, quiet, others := r.int(), r.int(), r.int(), r.int(), r.int()
	if err := r.end("silence"); err != nil {
		return err
	}
	if quiet < 0 || others < 0 {
		return fmt.Errorf("%w: state of a silence rule has a negative time", faultline.ErrInvalid)
	}
	k.last, k.newest, k.heard, k.quiet, k.others = last, newest, heard, quiet, others
	return nil
}
