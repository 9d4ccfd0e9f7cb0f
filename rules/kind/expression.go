package kind

import (
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// Expression: a condition over several points and windows of time, such as
//
//	running && flow < 5 && change_over(discharge_pressure, "10m") > 2
//
// Names, types and units are checked when the rule is fitted to a position. While one of its points
// has no usable value, nothing is said.
var expressionType = Type{
	Name:     "expression",
	Uses:     []string{"expr", "severity"},
	Severity: faultline.SeverityWarning,
	Check: func(s *Settings, report func(field, format string, args ...any)) {
		if _, err := parseFormula(s.Expr); err != nil {
			report("expr", "%s", withoutInvalid(err))
		}
	},
	Fit: func(s *Settings, points []faultline.Point) (Kind, []string, error) {
		f, err := compileFormula(s.Expr, points)
		if err != nil {
			return nil, nil, err
		}
		in := newInputs(f)
		return &expression{settings: s, in: in}, in.names(), nil
	},
}

type expression struct {
	settings *Settings
	in       *inputs
}

// Observe keeps a sample: what it means is said at the frame's end, when all of its samples are known.
func (k *expression) Observe(at time.Time, s *faultline.Sample) Verdict {
	k.in.observe(at.UnixNano(), s)
	return Verdict{}
}

// EndFrame judges.
func (k *expression) EndFrame(at time.Time) Verdict {
	if !k.in.touched {
		return Verdict{}
	}
	k.in.touched = false
	switch is, known := k.in.evaluate(at.UnixNano()); {
	case !known:
		return Verdict{Judgement: Unknown}
	case is:
		return Verdict{Judgement: Bad, Severity: severity(k.settings, expressionType.Severity), Value: 1}
	}
	return Verdict{Judgement: Fine}
}

// Tick brings no news.
func (k *expression) Tick(time.Time) Verdict { return Verdict{} }

func (k *expression) Explain(_ Verdict, held time.Duration) string {
	return k.in.numbers() + lasting(held) + " (" + k.settings.Expr + ")"
}

func (k *expression) Snapshot(dst []byte) []byte { return k.in.snapshot(dst) }

func (k *expression) Restore(state []byte) error {
	r := reader{b: state}
	in := k.in.restored(&r)
	if err := r.end("expression"); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	k.in = in
	return nil
}
