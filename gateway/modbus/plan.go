package modbus

import (
	"cmp"
	"slices"

	"github.com/faultline-iot/faultline/gateway/profile"
)

// block is one read and the fields that its answer holds.
type block struct {
	table   profile.Table
	address uint16
	count   uint16
	fields  []int // indices into the plan's fields, by address
}

// planFor merges fields into the fewest reads within the device's limits: at most maxRegisters
// registers or maxBits bits in one, over gaps of at most maxGap unwanted registers (or 16 × maxGap
// bits), never over a forbidden address. Fields are joined greedily in address order, which is optimal
// for intervals with a length limit.
func planFor(m profile.Modbus, fields []field) []block {
	order := make([]int, len(fields))
	for i := range order {
		order[i] = i
	}
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
	Points  []string
}

// Plan tells which reads a poll of the profile makes.
func Plan(p *profile.Profile) []Read {
	fields := fieldsOf(p)
	var out []Read
	for _, b := range planFor(p.Modbus, fields) {
		r := Read{Table: b.table, Address: b.address, Count: b.count}
		for _, i := range b.fields {
			r.Points = append(r.Points, fields[i].point.Name)
		}
		out = append(out, r)
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
