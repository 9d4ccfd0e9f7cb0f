package kind

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm"
	"github.com/faultline-iot/faultline"
)

// inputs is what a formula knows of its points: their latest values and its windows. It is state.
type inputs struct {
	formula *formula
	values  []input
	windows []window
	env     map[string]any
	last    int64
	touched bool
}

type input struct {
	at    int64
	known bool
	value faultline.Value
}

type window struct {
	slots slots
	prev  float64
	at    int64 // of prev; 0: none
}

// stale is how old a value may be that a formula goes by.
const stale = 15 * time.Minute

func newInputs(f *formula) *inputs {
	in := &inputs{formula: f, values: make([]input, len(f.points)), windows: make([]window, len(f.windows)), env: map[string]any{}}
	for i, w := range f.windows {
		in.windows[i].slots = newSlots(int64(w.length), windowSlots)
	}
	return in
}

func (in *inputs) names() []string {
	var names []string
	for _, p := range in.formula.points {
		names = append(names, p.Name)
	}
	return names
}

// observe takes a sample; false if it is none of the formula's, or old.
func (in *inputs) observe(now int64, s *faultline.Sample) bool {
	if now < in.last {
		return false
	}
	in.last = now
	for i, p := range in.formula.points {
		if p.Name != s.Point {
			continue
		}
		v := &in.values[i]
		if now <= v.at {
			return false
		}
		in.touched = true
		known := !s.Quality.IsBad() && s.Value.Type() == p.Type
		*v = input{now, known, s.Value}
		if !known {
			v.value = faultline.Value{}
		}
		for k := range in.windows {
			if in.formula.windows[k].point == i {
				in.windows[k].observe(in.formula.windows[k].function, now, v)
			}
		}
		return true
	}
	return false
}

func (w *window) observe(function string, now int64, in *input) {
	if !in.known {
		w.at = 0 // what came in between is not known
		return
	}
	v, _ := in.value.Number()
	if truth(in.value) {
		v = 1
	}
	switch function {
	case "min_over", "max_over", "change_over":
		w.slots.forget(now)
		n := len(w.slots.list)
		if n == 0 || w.slots.list[n-1].at != now/w.slots.width {
			w.slots.add(now, v)
			break
		}
		a := &w.slots.list[n-1]
		a.n++
		switch function {
		case "min_over":
			a.sum = min(a.sum, v)
		case "max_over":
			a.sum = max(a.sum, v)
		} // change_over keeps the first of a slot
	case "avg_over":
		w.slots.add(now, v)
	case "increase_over", "starts_over":
		if w.at != 0 && v > w.prev {
			w.slots.add(now, v-w.prev)
		}
	case "time_over":
		if w.at != 0 && w.prev == 1 {
			w.slots.add(now, float64(min(now-w.at, max(int64(5*time.Second), w.slots.width)))/1e9)
		}
	}
	w.prev, w.at = v, now
}

func truth(v faultline.Value) bool {
	b, _ := v.Any().(bool)
	return b
}

// value of the window at now; false if it is not known.
func (w *window) value(function string, now int64) (float64, bool) {
	w.slots.forget(now)
	list := w.slots.list
	sum, n := w.slots.total()
	switch function {
	case "avg_over":
		return sum / float64(n), n > 0
	case "increase_over", "starts_over", "time_over":
		return sum, w.at != 0
	case "change_over":
		if len(list) == 0 || w.at == 0 || (list[len(list)-1].at-list[0].at)*4 < w.slots.most*3 {
			return 0, false
		}
		return w.prev - list[0].sum, true
	}
	if len(list) == 0 {
		return 0, false
	}
	v := list[0].sum
	for _, a := range list {
		if function == "min_over" {
			v = min(v, a.sum)
		} else {
			v = max(v, a.sum)
		}
	}
	return v, true
}

// evaluate works the formula out; false if something it needs is not known.
func (in *inputs) evaluate(now int64) (is, known bool) {
	for i, p := range in.formula.points {
		v := &in.values[i]
		if !v.known || now-v.at > int64(stale) {
			return false, false
		}
		switch p.Type {
		case faultline.TypeInt:
			n, _ := v.value.Int64()
			in.env[p.Name] = int(n)
		case faultline.TypeBool:
			in.env[p.Name] = truth(v.value)
		case faultline.TypeString:
			in.env[p.Name], _ = v.value.Text()
		default:
			in.env[p.Name], _ = v.value.Number()
		}
	}
	for i := range in.windows {
		w := &in.formula.windows[i]
		v, ok := in.windows[i].value(w.function, now)
		if !ok || math.IsNaN(v) || math.IsInf(v, 0) {
			return false, false
		}
		in.env[w.name] = v
	}
	out, err := vm.Run(in.formula.program, in.env)
	if err != nil {
		return false, false // such as a remainder of nothing
	}
	is, known = out.(bool)
	return is, known
}

// numbers says what the formula went by.
func (in *inputs) numbers() string {
	var parts []string
	for i, p := range in.formula.points {
		v := in.values[i].value
		text := ""
		if v.Type() == faultline.TypeBool {
			text = strconv.FormatBool(truth(v))
		} else if n, ok := v.Number(); ok {
			text = quantity(n, p.Unit)
			if t := p.Texts[int64(n)]; t != "" && !p.Bits {
				text = t
			}
		} else if t, ok := v.Text(); ok {
			text = strconv.Quote(t)
		} else {
			continue
		}
		parts = append(parts, subject(p)+" "+text)
	}
	for i, w := range in.formula.windows {
		v, ok := in.windows[i].value(w.function, in.last)
		if !ok {
			continue
		}
		p := in.formula.points[w.point]
		unit := p.Unit
		switch w.function {
		case "starts_over":
			unit = "times"
		case "time_over":
			unit = "s"
		}
		what := strings.TrimSuffix(w.function, "_over")
		parts = append(parts, what+" of "+subject(p)+" over "+span(w.length)+" "+quantity(v, unit))
	}
	return strings.Join(parts, ", ")
}

func (in *inputs) snapshot(dst []byte) []byte {
	dst = putInt(dst, in.last)
	for i := range in.values {
		v := &in.values[i]
		dst = putInt(dst, v.at)
		text, isText := v.value.Text()
		switch n, isInt := v.value.Int64(); {
		case !v.known:
			dst = append(dst, 0)
		case isText:
			dst = append(putInt(append(dst, 1), int64(len(text))), text...)
		case isInt:
			dst = putInt(append(dst, 2), n)
		default:
			f, _ := v.value.Number()
			dst = putFloat(append(dst, 3), f)
		}
	}
	for i := range in.windows {
		w := &in.windows[i]
		dst = w.slots.snapshot(putInt(putFloat(dst, w.prev), w.at))
	}
	return dst
}

// restored reads the inputs of the same formula.
func (in *inputs) restored(r *reader) *inputs {
	n := newInputs(in.formula)
	n.last = r.int()
	for i := range n.values {
		v := &n.values[i]
		v.at = r.int()
		switch tag := r.byte(); tag {
		case 0:
		case 1:
			v.known, v.value = true, faultline.String(string(r.bytes(r.count(faultline.MaxString))))
		case 2:
			v.known, v.value = true, faultline.Int(r.int())
			if in.formula.points[i].Type == faultline.TypeBool {
				b, _ := v.value.Int64()
				v.value = faultline.Bool(b != 0)
			}
		case 3:
			v.known, v.value = true, faultline.Float(r.float())
		default:
			r.bad = true
		}
		if v.known && v.value.Type() != in.formula.points[i].Type {
			r.bad = true
		}
	}
	for i := range n.windows {
		w := &n.windows[i]
		w.prev, w.at = r.float(), r.int()
		w.slots = w.slots.restored(r)
	}
	return n
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bytes(n int64) []byte {
	v := r.b[:min(n, int64(len(r.b)))]
	r.b = r.b[len(v):]
	return v
}
