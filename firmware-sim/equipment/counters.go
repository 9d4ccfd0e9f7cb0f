package equipment

// Counters say what the equipment did, counted where it happened. They only rise.
type Counters struct {
	Reads     uint64 `json:"reads"`     // Modbus read requests answered with data, the answer written to the connection
	Registers uint64 `json:"registers"` // registers and bits in those answers
	Points    uint64 `json:"points"`    // documented points wholly in those answers: one per value a reader can decode
	Refused   uint64 `json:"refused"`   // Modbus requests answered with an exception, by fault or by right
	Published uint64 `json:"published"` // well-formed MQTT messages acknowledged by the broker
	Broken    uint64 `json:"broken"`    // garbage and oversized messages acknowledged by the broker
	Dropped   uint64 `json:"dropped"`   // messages given up: the device's buffer was full, or the broker refused a broken one
	Dials     uint64 `json:"dials"`     // connections made to the broker
}

func (c *Counters) add(o Counters) {
	c.Reads += o.Reads
	c.Registers += o.Registers
	c.Points += o.Points
	c.Refused += o.Refused
	c.Published += o.Published
	c.Broken += o.Broken
	c.Dropped += o.Dropped
	c.Dials += o.Dials
}

func (u *unit) counters() Counters {
	return Counters{
		Reads: u.reads.Load(), Registers: u.words.Load(), Points: u.points.Load(), Refused: u.refused.Load(),
		Published: u.published.Load(), Broken: u.broken.Load(), Dropped: u.dropped.Load(), Dials: u.redialled.Load(),
	}
}

// Counters sums over all devices.
func (p *Plant) Counters() Counters {
	var sum Counters
	for _, u := range p.units {
		sum.add(u.counters())
	}
	return sum
}

// DeviceCounters are those of one device.
func (p *Plant) DeviceCounters(device string) (Counters, error) {
	u, err := p.unit(device)
	if err != nil {
		return Counters{}, err
	}
	return u.counters(), nil
}
