package modbus

import (
	"cmp"
	"slices"
	"time"

	"github.com/faultline-iot/faultline/gateway/profile"
)

// block is one read and the fields that its answer holds.
type block struct {
	table   profile.Table
	address uint16
	count   uint16
	fields  []int // indices into the plan's fields, by address
}

// planFor merges the due ones of fields into the fewest reads within the device's limits: at most maxRegisters
// registers or maxBits bits in one, over gaps of at most maxGap unwanted registers (or 16 × maxGap
// bits), never over a forbidden address. Fields are joined greedily in address order, which is optimal
// for intervals with a length limit.
func planFor(m profile.Modbus, fields []field, due []int) []block {
	order := slices.Clone(due)
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &fields[a], &fields[b]
		return cmp.Or(cmp.Compare(x.table, y.table), cmp.Compare(x.address, y.address), cmp.Compare(x.words, y.words))
	})
	maxRegisters, maxBits, maxGap := m.Limits()
	var plan []block
	for _, i := range order {
		f := &fields[i]
		limit, gap := maxRegisters, maxGap
		if f.table.Bits() {
			limit, gap = maxBits, 16*maxGap
		}
		if n := len(plan); n > 0 {
			b := &plan[n-1]
			end := int(b.address) + int(b.count)
			grown := max(end, int(f.address)+int(f.words))
			if b.table == f.table && int(f.address)-end <= gap && grown-int(b.address) <= limit && !forbidden(m.Forbidden, f.table, end, int(f.address)) {
				b.count = uint16(grown - int(b.address))
				b.fields = append(b.fields, i)
				continue
			}
		}
		plan = append(plan, block{table: f.table, address: f.address, count: f.words, fields: []int{i}})
	}
	return plan
}

// forbidden tells whether any address in [from, to) must not be read.
func forbidden(ranges []profile.Range, t profile.Table, from, to int) bool {
	for _, r := range ranges {
		if r.Table == t && from <= int(r.To) && to > int(r.From) && from < to {
			return true
		}
	}
	return false
}

// split halves a block that a device refuses: at its widest gap, or in the middle. Fields that share
// registers stay together. A block that cannot be split answers ok false.
func (b *block) split(fields []field) (first, second block, ok bool) {
	best, bestGap, bestSkew := -1, -1, 0
	end := 0
	for k, i := range b.fields {
		f := &fields[i]
		if gap := int(f.address) - end; k > 0 && gap >= 0 {
			skew := max(2*k-len(b.fields), len(b.fields)-2*k)
			if gap > bestGap || gap == bestGap && skew < bestSkew {
				best, bestGap, bestSkew = k, gap, skew
			}
		}
		end = max(end, int(f.address)+int(f.words))
	}
	if best < 0 {
		return block{}, block{}, false
	}
	return narrow(b.table, b.fields[:best], fields), narrow(b.table, b.fields[best:], fields), true
}

// narrow is the smallest block that holds the chosen fields, which are in address order.
func narrow(t profile.Table, chosen []int, fields []field) block {
	b := block{table: t, address: fields[chosen[0]].address, fields: chosen}
	end := 0
	for _, i := range chosen {
		end = max(end, int(fields[i].address)+int(fields[i].words))
	}
	b.count = uint16(end - int(b.address))
	return b
}

// Read is one read of a device's plan, as people look at it.
type Read struct {
	Table   profile.Table
	Address uint16
	Count   uint16 // registers or bits fetched
	Wanted  uint16 // of them, those that hold points
	Points  []string
}

// Takes estimates how long a read lasts on the bus: what a device needs to answer, and on serial lines
// the characters and the silences around them.
func (r Read) Takes(a Address, answer time.Duration) time.Duration {
	if a.Scheme != "rtu" && a.Scheme != "rtuovertcp" && a.Scheme != "rtuoverudp" {
		return answer
	}
	n := request{table: r.Table, count: r.Count}
	characters := 8 + 5 + n.bytes()
	return answer + time.Duration(characters)*11*time.Second/time.Duration(a.Baud) + 2*silenceOf(a)
}

// Cycle is the reads of the polls at which the same points are due.
type Cycle struct {
	Every time.Duration // between reads of these points
	Reads []Read        // of these points alone; with others due at the same time they merge further
}

// Plan tells which reads polls of the profile make on a device that is polled each period: one Cycle for
// each of the points' periods, the shortest first.
func Plan(p *profile.Profile, period time.Duration) []Cycle {
	fields := fieldsOf(p)
	classes := classesOf(fields, period)
	slices.SortStableFunc(classes, func(a, b class) int { return cmp.Compare(a.every, b.every) })
	var out []Cycle
	for _, c := range classes {
		cycle := Cycle{Every: c.every}
		for _, b := range planFor(p.Modbus, fields, c.fields) {
			r := Read{Table: b.table, Address: b.address, Count: b.count}
			end := 0
			for _, i := range b.fields {
				f := &fields[i]
				r.Points = append(r.Points, f.point.Name)
				if last := int(f.address) + int(f.words); last > end {
					r.Wanted += uint16(last - max(end, int(f.address)))
					end = last
				}
			}
			cycle.Reads = append(cycle.Reads, r)
		}
		out = append(out, cycle)
	}
	return out
}

// fieldsOf compiles the points that are registers.
func fieldsOf(p *profile.Profile) []field {
	fields := make([]field, 0, len(p.Points))
	for i := range p.Points {
		if p.Points[i].Register != nil {
			fields = append(fields, newField(p, &p.Points[i]))
		}
	}
	return fields
}
