package rules

import (
	"encoding/json"
	"fmt"

	"github.com/faultline-iot/faultline"
)

// format of a saved unit. Format 1 knew nothing of what keeps alarms from people, 2 nothing of hours.
const unitFormat = 3

// snapshot writes the unit's state, all but its place.
func (u *unit) snapshot() ([]byte, error) {
	dst := []byte{unitFormat}
	dst = appendString(dst, u.epoch)
	dst = appendUint(dst, u.sequence)
	dst = appendInt(dst, u.frameAt)
	dst = appendUint(dst, uint64(len(u.points)))
	for name, w := range u.points {
		dst = appendString(dst, name)
		dst = appendBytes(dst, w.ring.snapshot(nil))
		dst = appendBytes(dst, w.memory.snapshot(nil))
	}
	dst = appendUint(dst, uint64(len(u.rules)))
	var scratch []byte
	for _, r := range u.rules {
		dst = appendString(dst, r.name)
		dst = appendString(dst, r.shape())
		scratch = r.kind.Snapshot(scratch[:0])
		dst = appendBytes(dst, scratch)
		scratch = r.machine.snapshot(scratch[:0])
		dst = appendBytes(dst, scratch)
		var alarm []byte
		if r.alarm != nil {
			var err error
			if alarm, err = json.Marshal(r.alarm); err != nil {
				return nil, fmt.Errorf("save %s: alarm of %s: %w", u.id, r.name, err)
			}
		}
		dst = appendBytes(dst, alarm)
		var waits []byte
		if r.waits != nil {
			var err error
			if waits, err = json.Marshal(r.waits); err != nil {
				return nil, fmt.Errorf("save %s: what %s waits with: %w", u.id, r.name, err)
			}
		}
		dst = appendBytes(dst, waits)
	}
	if u.life.empty() {
		return appendBytes(dst, nil), nil
	}
	life, err := json.Marshal(&u.life)
	if err != nil {
		return nil, fmt.Errorf("save %s: %w", u.id, err)
	}
	return appendBytes(dst, life), nil
}

// restore takes over a saved state. Rules are found by name: one that was edited keeps its alarm and,
// if its kind is the same, what it knew; a new one begins anew. It gives the alarms of rules that are
// no more.
func (u *unit) restore(state []byte) (orphans []faultline.Alarm, err error) {
	in := &input{b: state}
	format := in.uint()
	if (format < 1 || format > unitFormat) && in.err == nil {
		return nil, fmt.Errorf("%w: state of %s has format %d, known are 1 to %d", faultline.ErrInvalid, u.id, format, unitFormat)
	}
	u.epoch, u.sequence, u.frameAt = in.string(256), in.uint(), in.int()
	for range in.count(1 << 20) {
		name := in.string(256)
		inner := &input{b: in.bytes(1 << 30)}
		var r ring
		r.restore(inner)
		if inner.err != nil {
			return nil, fmt.Errorf("restore %s: ring of %s: %w", u.id, name, inner.err)
		}
		var m memory
		if format >= 3 {
			inner := &input{b: in.bytes(1 << 12)}
			if m.restore(inner); inner.err != nil {
				return nil, fmt.Errorf("restore %s: hours of %s: %w", u.id, name, inner.err)
			}
		}
		w := u.points[name]
		if w == nil {
			continue
		}
		if len(w.rules) > 0 {
			w.ring = r
		}
		if w.memory != nil {
			*w.memory = m
		}
	}
	for range in.count(1 << 20) {
		name, kindName := in.string(256), in.string(64)
		kindState, machineState, alarmState := in.bytes(1<<20), in.bytes(1<<10), in.bytes(1<<20)
		var waitsState []byte
		if format >= 2 {
			waitsState = in.bytes(1 << 20)
		}
		if in.err != nil {
			break
		}
		var alarm *faultline.Alarm
		if len(alarmState) > 0 {
			if err := json.Unmarshal(alarmState, &alarm); err != nil {
				return nil, fmt.Errorf("restore %s: alarm of %s: %w", u.id, name, err)
			}
		}
		r := u.find(name)
		if r == nil {
			if alarm != nil && (alarm.Active || alarm.Latched) {
				orphans = append(orphans, *alarm)
			}
			continue
		}
		if err := r.machine.restore(machineState); err != nil {
			return nil, fmt.Errorf("restore %s: rule %s: %w", u.id, name, err)
		}
		r.alarm = alarm
		if err := u.restoreWaiting(r, waitsState); err != nil {
			return nil, err
		}
		if r.shape() != kindName {
			continue
		}
		if err := r.kind.Restore(kindState); err != nil {
			return nil, fmt.Errorf("restore %s: rule %s: %w", u.id, name, err)
		}
	}
	if format >= 2 {
		if state := in.bytes(1 << 20); len(state) > 0 {
			if err := json.Unmarshal(state, &u.life); err != nil {
				return nil, fmt.Errorf("restore %s: %w", u.id, err)
			}
		}
	}
	if in.err != nil {
		return nil, fmt.Errorf("restore %s: %w", u.id, in.err)
	}
	return orphans, nil
}
