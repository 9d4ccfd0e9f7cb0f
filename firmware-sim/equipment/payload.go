package equipment

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// payload renders a message with the unit's present values. The caller holds u.mu.
func (u *unit) payload(now time.Time) []byte {
	k := u.k
	root := map[string]any{k.countField: u.count, k.nameField: u.cfg.Serial}
	if k.timeMillis {
		root[k.timeField] = now.UnixMilli()
	} else {
		root[k.timeField] = now.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	for i, p := range k.points {
		place(root, p.Path, u.jsonValue(i, p))
	}
	b, err := json.Marshal(root)
	if err != nil {
		// Numbers are finite by quantise, texts are ours: this is a defect of the simulator, told in place of values.
		return fmt.Appendf(nil, `{"error":%q}`, err.Error())
	}
	return b
}

func (u *unit) jsonValue(i int, p Point) any {
	if p.static() {
		return u.texts[i]
	}
	if u.open[i] {
		_, text := u.k.openRaw(p)
		return json.RawMessage(text)
	}
	_, v := p.quantise(u.shown[i])
	if p.Enum != nil {
		return p.Enum[int(v)]
	}
	if p.Type == Integer {
		return int64(v)
	}
	return json.RawMessage(strconv.FormatFloat(v, 'f', -1, 64))
}

// place sets a dotted path in nested maps.
func place(m map[string]any, path string, v any) {
	for {
		head, rest, nested := strings.Cut(path, ".")
		if !nested {
			m[head] = v
			return
		}
		sub, ok := m[head].(map[string]any)
		if !ok {
			sub = map[string]any{}
			m[head] = sub
		}
		m, path = sub, rest
	}
}
