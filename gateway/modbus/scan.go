package modbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/faultline-iot/faultline/gateway/profile"
)

const holding = profile.Holding

// ScanConfig says where to look and how gently. A scan only reads.
type ScanConfig struct {
	Address string
	Link    Link
	Units   []uint8            // default: 1 to 16 of a network address, 1 to 247 of a bus; 255 and 0 if none of them answers
	From    uint16             // first and last address that is searched in each table; default 0 to 999
	To      uint16             //
	Known   []*profile.Profile // whose registers are looked for wherever they are
	Timeout time.Duration      // default 500 ms
	Pause   time.Duration      // after each answer; default 10 ms
	Say     func(what string)  // progress, a line each; may be nil
}

// Span is a range of addresses that a unit serves, both ends included.
type Span struct {
	Table    profile.Table
	From, To uint16
}

// Found is one unit that answers.
type Found struct {
	Unit         uint8
	AnyUnit      bool // the device does not look at the unit id
	Identity     Identity
	Spans        []Span
	MaxRegisters int  // of one read that worked
	Proven       bool // a larger read was refused, or MaxRegisters is the protocol's limit
	Requests     int
	Latency50    time.Duration
	Latency99    time.Duration
	Most         time.Duration

	readable map[profile.Table]*[1 << 16]bool
}

// Scanner looks at one bus. Create with NewScanner; it is for one goroutine.
type Scanner struct {
	cfg ScanConfig
	s   *scanner
}

// NewScanner fills defaults and connects.
func NewScanner(ctx context.Context, cfg ScanConfig) (*Scanner, error) {
	a, err := ParseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 500 * time.Millisecond
	}
	if cfg.Pause <= 0 {
		cfg.Pause = 10 * time.Millisecond
	}
	if cfg.To == 0 {
		cfg.To = 999
	}
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	cfg.Link.Connections = 1
	s := &scanner{ctx: ctx, line: newLine(a, cfg.Link), timeout: cfg.Timeout, pause: cfg.Pause}
	if err := s.line.open(ctx); err != nil {
		return nil, err
	}
	s.open = true
	if len(cfg.Units) == 0 {
		last := 16
		if _, serial := s.line.(*rtuLine); serial {
			last = 247
		}
		for u := 1; u <= last; u++ {
			cfg.Units = append(cfg.Units, uint8(u))
		}
		cfg.Units = append(cfg.Units, 255, 0)
	}
	return &Scanner{cfg: cfg, s: s}, nil
}

// Close ends the connection.
func (s *Scanner) Close() { s.s.line.close() }

// Units finds the units that answer.
func (s *Scanner) Units() ([]*Found, error) {
	var out []*Found
	for i, unit := range s.cfg.Units {
		if (unit == 0 || unit == 255) && len(out) > 0 && len(s.cfg.Units) > 1 {
			continue // other names of what was found
		}
		if i%16 == 0 {
			s.cfg.Say(fmt.Sprintf("looking for units from %d on", unit))
		}
		there, err := s.answers(unit)
		if err != nil {
			return out, err
		}
		if there {
			out = append(out, &Found{Unit: unit, readable: map[profile.Table]*[1 << 16]bool{}})
		}
	}
	if len(out) > 0 && len(out) == min(16, len(s.cfg.Units)) && len(out) > 4 {
		if there, err := s.answers(231); err != nil {
			return out, err
		} else if there {
			out = out[:1]
			out[0].AnyUnit = true
		}
	}
	return out, nil
}

func (s *Scanner) answers(unit uint8) (bool, error) {
	_, err := s.s.read(request{unit: unit, table: profile.Holding, count: 1})
	switch {
	case s.s.ctx.Err() != nil:
		return false, s.s.ctx.Err()
	case errors.Is(err, errNotConnected):
		return false, err
	}
	return err == nil || isException(err) && !silent(err), nil
}

// Look finds out everything about a unit.
func (s *Scanner) Look(f *Found) (err error) {
	s.s.took = s.s.took[:0]
	defer func() {
		if n := len(s.s.took); n > 0 {
			slices.Sort(s.s.took)
			f.Requests, f.Latency50, f.Latency99, f.Most = n, s.s.took[(n-1)/2], s.s.took[(n-1)*99/100], s.s.took[n-1]
		}
	}()
	s.cfg.Say(fmt.Sprintf("unit %d: who it is", f.Unit))
	if f.Identity, err = s.s.identify(f.Unit); err != nil {
		return err
	}
	for _, t := range []profile.Table{profile.Holding, profile.Input, profile.Coil, profile.Discrete} {
		s.cfg.Say(fmt.Sprintf("unit %d: which %s addresses it serves", f.Unit, t))
		if err := s.search(f, t); err != nil {
			return err
		}
	}
	return s.size(f)
}

// search finds the addresses of one table that are served.
func (s *Scanner) search(f *Found, t profile.Table) error {
	have := new([1 << 16]bool)
	f.readable[t] = have
	works := func(at, n int) bool {
		if at < 0 || at+n > 1<<16 || s.s.ctx.Err() != nil {
			return false
		}
		_, err := s.s.read(request{unit: f.Unit, table: t, address: uint16(at), count: uint16(n)})
		if e := Exception(0); errors.As(err, &e) && e == IllegalFunction {
			s.s.refused = true
		}
		if err != nil {
			return false
		}
		for i := at; i < at+n; i++ {
			have[i] = true
		}
		return true
	}
	// ends finds the ends of what is served around addresses that are; half a value may not be served alone.
	ends := func(from, to int) {
		for i := from - 1; i >= 0 && i > from-4 && !have[i] && (works(i, 1) || works(i-1, 2)); i-- {
		}
		for i := to + 1; i < 1<<16 && i < to+125; i++ {
			if !have[i] && !works(i, 1) && !works(i, 2) {
				break
			}
		}
	}
	s.s.refused = false
	step, stride := 32, 4
	if t.Bits() {
		step, stride = 128, 8
	}
	for at := int(s.cfg.From); at <= int(s.cfg.To) && !s.s.refused && s.s.ctx.Err() == nil; at += step {
		n := min(step, int(s.cfg.To)+1-at)
		if works(at, n) {
			continue
		}
		for k := at; k < at+n && !s.s.refused; k += stride {
			if !have[k] && (works(k, 1) || works(k, 2)) {
				ends(k, k)
			}
		}
	}
	for _, p := range s.cfg.Known {
		for i := range p.Points {
			r := p.Points[i].Register
			if r == nil || r.Table != t || s.s.refused || s.s.ctx.Err() != nil || have[r.Address] {
				continue
			}
			if first, n := r.Span(); works(int(first), n) {
				ends(int(first), int(first)+n-1)
			}
		}
	}
	if m := f.Identity.SunSpec; m != nil && t == holding && !s.s.refused && !have[m.Base] && works(int(m.Base), 2) {
		ends(int(m.Base), int(m.Base)+1)
	}
	for i := 0; i < 1<<16; i++ {
		if have[i] {
			from := i
			for i+1 < 1<<16 && have[i+1] {
				i++
			}
			f.Spans = append(f.Spans, Span{t, uint16(from), uint16(i)})
		}
	}
	return s.s.ctx.Err()
}

// size finds how many registers one read may have.
func (s *Scanner) size(f *Found) error {
	var longest Span
	for _, sp := range f.Spans {
		if !sp.Table.Bits() && (longest.Table == profile.NoTable || sp.To-sp.From > longest.To-longest.From) {
			longest = sp
		}
	}
	if longest.Table == profile.NoTable {
		return s.s.ctx.Err()
	}
	most := min(int(longest.To-longest.From)+1, profile.MaxRegisters)
	low, high := 1, most                                  // low works
	for n := most; low < high; n = (low + high + 1) / 2 { // most devices take all at once
		if _, err := s.s.read(request{unit: f.Unit, table: longest.Table, address: longest.From, count: uint16(n)}); err == nil {
			low = n
		} else {
			high = n - 1
		}
		if err := s.s.ctx.Err(); err != nil {
			return err
		}
	}
	f.MaxRegisters, f.Proven = low, low < most || low == profile.MaxRegisters
	return nil
}

// scanner reads gently and keeps the line usable.
type scanner struct {
	ctx     context.Context
	line    line
	open    bool
	timeout time.Duration
	pause   time.Duration
	took    []time.Duration
	refused bool // the function, so the whole table
}

// again opens the line if the last answer spoilt it.
func (s *scanner) again() error {
	if s.open {
		return nil
	}
	if err := pause(s.ctx, lineSilence); err != nil {
		return err
	}
	if err := s.line.open(s.ctx); err != nil {
		return err
	}
	s.open = true
	return nil
}

func (s *scanner) ended(began time.Time, err error) {
	if err == nil || isException(err) {
		s.took = append(s.took, time.Since(began))
		return
	}
	s.line.close()
	s.open = false
}

func (s *scanner) read(r request) ([]byte, error) {
	if err := s.again(); err != nil {
		return nil, err
	}
	r.timeout, r.pause = s.timeout, s.pause
	if err := pause(s.ctx, s.pause); err != nil {
		return nil, err
	}
	began := time.Now()
	b, err := s.line.read(s.ctx, r)
	s.ended(began, err)
	return b, err
}

func (s *scanner) registers(unit uint8, t profile.Table, at, n uint16) ([]byte, error) {
	return s.read(request{unit: unit, table: t, address: at, count: n})
}

// raw asks for a function that is no read of a table.
func (s *scanner) raw(unit uint8, pdu []byte) ([]byte, error) {
	if err := s.again(); err != nil {
		return nil, err
	}
	if err := pause(s.ctx, s.pause); err != nil {
		return nil, err
	}
	began := time.Now()
	var b []byte
	err := errNoRaw
	switch l := s.line.(type) {
	case *tcpLine:
		b, err = l.exchange(s.ctx, unit, pdu, s.timeout, 0)
	case *rtuLine:
		b, err = l.raw(s.ctx, unit, pdu, s.timeout)
	}
	s.ended(began, err)
	return b, err
}
