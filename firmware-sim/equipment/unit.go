package equipment

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Injection is a fault that was put in, by script or by hand.
type Injection struct {
	Device   string
	Fault    Fault
	Point    string
	Severity float64
	Ramp     time.Duration
	Code     int
	At       time.Time // when it took effect: the start of the ramp
	Cleared  time.Time // when it ended; zero while active
}

type activeFault struct {
	Event
	began  time.Duration // on the plant's clock
	record *Injection
	stuck  float64 // sensor_stuck: the value kept
	held   bool    // stuck is set
}

// unit is one simulated device: model, faults and what is visible of it from outside.
type unit struct {
	cfg   DeviceConfig
	k     *kind
	texts map[int]string // fixed texts by index of their point

	tickAt, wordAt, activeAt int // indexes of tick, alarm_word and alarm_active; -1 where there is none

	mu      sync.Mutex
	m       model
	cond    conditions
	truth   []float64 // from the model
	shown   []float64 // what the device tells: truth with sensor faults
	open    []bool    // sensor reads open circuit
	tick    uint32
	count   uint64 // messages made
	image   image
	active  []*activeFault
	records []*Injection
	comm    comm
	changed chan struct{} // closed and replaced when comm.offline changes

	reads, words, points, refused         atomic.Uint64
	published, broken, dropped, redialled atomic.Uint64
}

// comm is the state of the faults that act on communication.
type comm struct {
	offline                       bool
	delay                         time.Duration
	exception, garbage, half, big share
	code                          byte
	junk                          *noise
}

// share picks a given share of events, evenly and without chance.
type share struct{ level, sum float64 }

func (s *share) next() bool {
	if s.level <= 0 {
		return false
	}
	s.sum += s.level
	if s.sum < 1 {
		return false
	}
	s.sum--
	return true
}

func newUnit(cfg DeviceConfig, k *kind, seed int64) *unit {
	u := &unit{
		cfg: cfg, k: k, m: k.start(cfg.Hours, newNoise(seed, cfg.Name)),
		truth: make([]float64, len(k.points)), shown: make([]float64, len(k.points)), open: make([]bool, len(k.points)),
		texts: map[int]string{}, changed: make(chan struct{}),
		tickAt: k.index("tick"), wordAt: k.index("alarm_word"), activeAt: k.index("alarm_active"),
	}
	u.comm.junk = newNoise(seed, "junk/"+cfg.Name)
	u.cond.wearRate = cfg.WearRate
	for i, p := range k.points {
		if p.static() {
			u.texts[i] = k.model
			if p.Name == "serial" {
				u.texts[i] = cfg.Serial
			}
		}
	}
	u.image = newImage(k)
	return u
}

// surroundings is what a step happens in.
type surroundings struct {
	dt              float64       // seconds of physics
	ambient, demand float64       // see conditions
	clock           time.Duration // the plant's clock after the step
	now             time.Time     // for records and payloads
}

// advance makes one tick: expired faults end, the model steps, the registers are refreshed.
func (u *unit) advance(s surroundings) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range slices.Clone(u.active) {
		if f.For > 0 && s.clock >= f.began+f.For {
			u.clear(f.Fault, f.Point, s.now)
		}
	}
	u.cond.dt, u.cond.ambient, u.cond.demand = s.dt, s.ambient, s.demand
	u.cond.level = [physicalFaults]float64{}
	for _, f := range u.active {
		if i := physical(f.Fault); i >= 0 {
			u.cond.level[i] = f.levelAt(s.clock - f.began)
		}
	}
	u.m.step(&u.cond)
	u.tick++
	u.refresh()
}

// refresh takes the model's values and puts sensor faults over them.
func (u *unit) refresh() {
	u.m.read(u.truth)
	u.truth[u.tickAt] = float64(u.tick)
	copy(u.shown, u.truth)
	clear(u.open)
	anyOpen := false
	for _, f := range u.active {
		switch f.Fault {
		case SensorStuck:
			i := u.k.index(f.Point)
			if !f.held {
				f.stuck, f.held = u.truth[i], true
			}
			u.shown[i] = f.stuck
		case SensorOpen:
			u.open[u.k.index(f.Point)] = true
			anyOpen = true
		}
	}
	if anyOpen {
		bit := slices.Index(u.k.points[u.wordAt].Bits, "sensor_fault")
		u.shown[u.wordAt] = float64(uint16(u.shown[u.wordAt]) | 1<<bit)
		if u.activeAt >= 0 {
			u.shown[u.activeAt] = 1
		}
	}
	u.image.fill(u)
}

// inject starts a checked fault; one that is active on the same point is replaced.
func (u *unit) inject(e Event, clock time.Duration, now time.Time) Injection {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear(e.Fault, e.Point, now)
	r := &Injection{Device: u.cfg.Name, Fault: e.Fault, Point: e.Point, Severity: e.Severity, Ramp: e.Ramp, Code: e.Code, At: now}
	u.active = append(u.active, &activeFault{Event: e, began: clock, record: r})
	// A long run under a script that repeats must not grow without end.
	if u.records = append(u.records, r); len(u.records) > 1000 {
		if i := slices.IndexFunc(u.records, func(r *Injection) bool { return !r.Cleared.IsZero() }); i >= 0 {
			u.records = slices.Delete(u.records, i, i+1)
		}
	}
	u.recomm()
	u.refreshSensors(e.Fault)
	return *r
}

// refreshSensors shows a sensor fault at once instead of at the next tick. The model is not
// read again: that would spend its noise and make values depend on when faults are put in.
func (u *unit) refreshSensors(f Fault) {
	if u.tick == 0 || (f != SensorOpen && f != SensorStuck) {
		return
	}
	m := u.m
	u.m = frozen(u.truth)
	u.refresh()
	u.m = m
}

// frozen is a model that repeats values.
type frozen []float64

func (f frozen) step(*conditions)   {}
func (f frozen) read(v []float64)   { copy(v, f) }
func (f frozen) write(int, float64) {}
func (f frozen) totals() []*float64 { return nil }

func (u *unit) end(f Fault, point string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.clear(f, point, now) {
		return false
	}
	u.refreshSensors(f)
	return true
}

// clear ends a fault, on all points where point is empty, and tells whether there was one.
func (u *unit) clear(f Fault, point string, now time.Time) bool {
	n := len(u.active)
	u.active = slices.DeleteFunc(u.active, func(a *activeFault) bool {
		if a.Fault != f || (point != "" && a.Point != point) {
			return false
		}
		a.record.Cleared = now
		return true
	})
	u.recomm()
	return len(u.active) < n
}

// recomm derives the communication faults from the active ones.
func (u *unit) recomm() {
	c := &u.comm
	was := c.offline
	c.offline, c.delay, c.code = false, 0, 0
	levels := map[Fault]float64{}
	for _, f := range u.active {
		levels[f.Fault] = f.Severity
		switch f.Fault {
		case Offline:
			c.offline = true
		case Slow:
			c.delay = time.Duration(f.Severity * 3 * float64(time.Second))
		case Exception:
			c.code = byte(f.Code)
		}
	}
	for fault, s := range map[Fault]*share{Exception: &c.exception, Garbage: &c.garbage, HalfFrame: &c.half, Oversized: &c.big} {
		if s.level = levels[fault]; s.level == 0 {
			s.sum = 0
		}
	}
	if was != c.offline {
		close(u.changed)
		u.changed = make(chan struct{})
	}
}

// watch returns whether the unit is off line and a channel that closes when that changes.
func (u *unit) watch() (offline bool, changed <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.comm.offline, u.changed
}

// values are the true values by point name, as a correct reader would get them with no sensor fault.
func (u *unit) values() map[string]float64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	v := make(map[string]float64, len(u.k.points))
	for i, p := range u.k.points {
		if !p.static() && !math.IsNaN(u.truth[i]) {
			_, v[p.Name] = p.quantise(u.truth[i])
		}
	}
	return v
}

func (u *unit) injections() []Injection {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]Injection, len(u.records))
	for i, r := range u.records {
		list[i] = *r
	}
	return list
}

// activeNow counts active faults by name, for /devices.
func (u *unit) activeNow() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	set := map[string]bool{}
	for _, f := range u.active {
		set[string(f.Fault)] = true
	}
	return slices.Sorted(maps.Keys(set))
}
