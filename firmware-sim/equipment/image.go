package equipment

import "math"

// image is what a Modbus client sees: four tables, each with holes.
type image struct {
	words map[Table][]uint16
	have  map[Table][]bool
	list  map[Table][]Point
}

func newImage(k *kind) image {
	im := image{words: map[Table][]uint16{}, have: map[Table][]bool{}, list: map[Table][]Point{}}
	if k.protocol != ProtocolModbus {
		return im
	}
	for _, p := range k.points {
		end := int(p.Address) + p.Size()
		for len(im.words[p.Table]) < end {
			im.words[p.Table] = append(im.words[p.Table], 0)
			im.have[p.Table] = append(im.have[p.Table], false)
		}
		for a := int(p.Address); a < end; a++ {
			im.have[p.Table][a] = true
		}
		im.list[p.Table] = append(im.list[p.Table], p)
	}
	return im
}

// fill encodes what the unit shows.
func (im *image) fill(u *unit) {
	if len(im.words) == 0 { // an MQTT device, or one of the past
		return
	}
	for i, p := range u.k.points {
		dst := im.words[p.Table][p.Address : int(p.Address)+p.Size()]
		switch {
		case p.Type == String:
			encodeText(dst, u.texts[i], u.k.pad)
		case u.open[i]:
			words, _ := u.k.openRaw(p)
			copy(dst, words)
		default:
			v := u.shown[i]
			if p.Type == Uint32 && p.Counter {
				v = math.Mod(v, (1<<32)*p.scale()) // counters roll over, as real ones do
			}
			raw, _ := p.quantise(v)
			p.encode(dst, raw, u.k.order)
		}
	}
}

// read returns n words from address, or false where any of them is a hole.
func (im *image) read(t Table, address, n int) ([]uint16, bool) {
	have := im.have[t]
	if address+n > len(have) {
		return nil, false
	}
	for _, there := range have[address : address+n] {
		if !there {
			return nil, false
		}
	}
	return im.words[t][address : address+n], true
}

// whole counts the documented points that lie entirely within a range.
func (im *image) whole(t Table, address, n int) (count int) {
	for _, p := range im.list[t] {
		if int(p.Address) >= address && int(p.Address)+p.Size() <= address+n {
			count++
		}
	}
	return count
}
