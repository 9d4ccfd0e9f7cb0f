package chaos

import (
	"fmt"
	"sync"
	"time"
)

// Points of a device beside the sequence and the level; see value.
const checked = 38

// samplesPerReading is how many samples one reading of a device is.
const samplesPerReading = checked + 2

// value is what point i (from 1) shows in reading n: known from n alone, so that every sample in
// InfluxDB can be judged.
func value(n uint32, i int) uint16 { return uint16((uint64(n)*31 + uint64(i)*7919) % 65521) }

// The signal in tenths: the rule has its high limit at 80 and its high-high limit at 95.
const (
	levelNormal   = 500
	levelHigh     = 850
	levelHighHigh = 970
)

// An excursion is long against the two readings that a failure can cost, and rare against what counts
// as chattering, so that each is one alarm whatever fails meanwhile.
const (
	excursionLength = 40
	excursionEvery  = 240 // readings from one beginning to the next
	never           = 1 << 31
	quietReadings   = 30 // after the last excursion, until the run may end
)

// reading is what the equipment knows of one reading that it served.
type reading struct {
	at     int64 // ns since 1970
	proven bool  // its commit is proven: see docs/chaos.md
}

// excursion of the signal above its limits.
type excursion struct {
	from, to uint32 // readings, both included; to 0: not over
}

// device is one piece of equipment. It numbers its readings from 1 and keeps account of them. It is
// never stopped by a fault: it lives in the process that injects them.
type device struct {
	site, position string
	gateway        string
	first          uint32 // reading with which its first excursion begins
	highHigh       bool   // its excursions go so far

	mu         sync.Mutex
	readings   []reading // by number - 1
	excursions []excursion
	closing    bool // begins no further excursion
	odd        []string
}

// next makes the next reading: its number and its level.
func (d *device) next(now time.Time) (n uint32, level uint16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n = uint32(len(d.readings) + 1)
	d.readings = append(d.readings, reading{at: now.UnixNano()})
	return n, d.level(n)
}

// level advances the signal. d.mu is held.
func (d *device) level(n uint32) uint16 {
	if k := len(d.excursions); k > 0 && d.excursions[k-1].to == 0 {
		e := &d.excursions[k-1]
		if n < e.from+excursionLength {
			return d.top()
		}
		e.to = n - 1
	}
	if d.closing || n < d.first || (n-d.first)%excursionEvery != 0 {
		return levelNormal
	}
	d.excursions = append(d.excursions, excursion{from: n})
	return d.top()
}

func (d *device) top() uint16 {
	if d.highHigh {
		return levelHighHigh
	}
	return levelHigh
}

// prove notes that reading n is committed at the gateway.
func (d *device) prove(n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readings[n-1].proven = true
}

// close lets the signal come to rest.
func (d *device) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closing = true
}

// quiet tells whether the signal has come to rest, proven at the gateway.
func (d *device) quiet() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := uint32(0)
	if k := len(d.excursions); k > 0 {
		if last = d.excursions[k-1].to; last == 0 {
			return false
		}
	}
	n := 0
	for i := int(last); i < len(d.readings); i++ {
		if d.readings[i].proven {
			n++
		}
	}
	return d.closing && n >= quietReadings
}

// complain keeps what a correct gateway would not have asked for.
func (d *device) complain(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.odd) < 10 {
		d.odd = append(d.odd, d.position+": "+fmt.Sprintf(format, args...))
	}
}

// proven counts readings whose commit is proven.
func (d *device) proven() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.readings {
		if d.readings[i].proven {
			n++
		}
	}
	return n
}
