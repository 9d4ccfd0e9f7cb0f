package equipment

import "math"

const (
	meV1 = iota
	meV2
	meV3
	meI1
	meI2
	meI3
	meP1
	meP2
	meP3
	meP
	meQ1
	meQ2
	meQ3
	meQ
	meS
	mePF1
	mePF2
	mePF3
	mePF
	meFreq
	meTHDV
	meTHDI
	meNeutral
	meImport
	meExport
	meReactive
	meHours
	meAlarm
	meTick
	meCT
	meModel
	meSerial
	meAlarmActive
)

func f32(name string, address uint16, unit string, low, high float64, sensor bool, doc string) Point {
	return Point{Name: name, Table: Input, Address: address, Type: Float32, Unit: unit, Low: low, High: high, Sensor: sensor, Doc: doc}
}

var meterKind = kind{
	name: "meter", title: "three-phase power meter", model: "AMPLEX M3", protocol: ProtocolModbus,
	order: ABCD,
	points: []Point{
		meV1:          f32("voltage_l1", 0, "V", 222, 238, true, "phase to neutral"),
		meV2:          f32("voltage_l2", 2, "V", 222, 238, true, "phase to neutral"),
		meV3:          f32("voltage_l3", 4, "V", 222, 238, true, "phase to neutral"),
		meI1:          f32("current_l1", 6, "A", 35, 190, true, "RMS"),
		meI2:          f32("current_l2", 8, "A", 35, 190, true, "RMS"),
		meI3:          f32("current_l3", 10, "A", 35, 190, true, "RMS"),
		meP1:          f32("active_power_l1", 12, "kW", 7, 42, false, ""),
		meP2:          f32("active_power_l2", 14, "kW", 7, 42, false, ""),
		meP3:          f32("active_power_l3", 16, "kW", 7, 42, false, ""),
		meP:           f32("active_power", 18, "kW", 22, 125, false, "sum of the phases"),
		meQ1:          f32("reactive_power_l1", 20, "kvar", 2, 20, false, ""),
		meQ2:          f32("reactive_power_l2", 22, "kvar", 2, 20, false, ""),
		meQ3:          f32("reactive_power_l3", 24, "kvar", 2, 20, false, ""),
		meQ:           f32("reactive_power", 26, "kvar", 8, 60, false, "sum of the phases"),
		meS:           f32("apparent_power", 28, "kVA", 25, 135, false, "from the sums of P and Q"),
		mePF1:         f32("power_factor_l1", 30, "", 0.86, 0.99, false, ""),
		mePF2:         f32("power_factor_l2", 32, "", 0.86, 0.99, false, ""),
		mePF3:         f32("power_factor_l3", 34, "", 0.86, 0.99, false, ""),
		mePF:          f32("power_factor", 36, "", 0.86, 0.99, false, "total"),
		meFreq:        f32("frequency", 38, "Hz", 49.9, 50.1, true, ""),
		meTHDV:        f32("voltage_thd", 40, "%", 1, 4, false, "worst phase"),
		meTHDI:        f32("current_thd", 42, "%", 4, 16, false, "worst phase"),
		meNeutral:     f32("current_n", 44, "A", 0, 30, true, "neutral"),
		meImport:      {Name: "energy_import", Table: Input, Address: 60, Type: Uint64, Unit: "Wh", Counter: true, Doc: "active energy taken, in Wh"},
		meExport:      {Name: "energy_export", Table: Input, Address: 64, Type: Uint64, Unit: "Wh", Counter: true, Doc: "active energy given; stays 0 here"},
		meReactive:    {Name: "reactive_energy", Table: Input, Address: 68, Type: Float64, Unit: "kvarh", Counter: true, Doc: "reactive energy"},
		meHours:       {Name: "running_hours", Table: Input, Address: 72, Type: Uint32, Scale: 0.01, Unit: "h", Counter: true, Doc: "hours in service"},
		meAlarm:       {Name: "alarm_word", Table: Input, Address: 74, Type: Uint16, Bits: []string{"undervoltage", "overvoltage", "overcurrent", "frequency", "sensor_fault"}, Doc: "the device's own alarms"},
		meTick:        {Name: "tick", Table: Input, Address: 76, Type: Uint32, Counter: true, Doc: "internal steps since power-up: ground truth for lost samples"},
		meCT:          {Name: "ct_ratio", Table: Holding, Address: 0, Type: Uint16, Low: 50, High: 50, Doc: "current transformer 250/5 A"},
		meModel:       {Name: "model", Table: Holding, Address: 100, Type: String, Words: 6, Doc: "model designation"},
		meSerial:      {Name: "serial", Table: Holding, Address: 110, Type: String, Words: 8, Doc: "serial number"},
		meAlarmActive: {Name: "alarm_active", Table: Discrete, Address: 0, Type: Bool, Doc: "any bit of the alarm word"},
	},
	effects: []Effect{
		{Fault: PowerDip, Point: "voltage_l1", Limit: 207, Above: false, By: 0.45, Doc: "−35 % on all phases; current +10 %"},
		{Fault: PowerDip, Point: "voltage_l1", Limit: 195, Above: false, By: 0.60, Doc: "same"},
	},
	start: newMeter,
}

type meter struct {
	n                         *noise
	v, i, p, q                [3]float64
	pf                        [3]float64
	freq, thdV, thdI, neutral float64
	hours, wh, export, kvarh  float64
	balance                   [3]lag
	sumP, sumQ, sumS, totalPF float64
}

func newMeter(hours float64, n *noise) model {
	return &meter{n: n, hours: hours, wh: hours * 72e3, kvarh: hours * 27}
}

func (m *meter) step(c *conditions) {
	dip := c.level[powerDip]
	share := [3]float64{1, 0.95, 1.05}
	pf := 0.91 + 0.05*c.demand
	m.sumP, m.sumQ = 0, 0
	for k := range 3 {
		wander := m.balance[k].to(1+m.n.around(0.02), 30, c.dt)
		m.v[k] = (232.5 - 4*c.demand + float64(k-1)*0.6 + m.n.around(0.35)) * (1 - 0.35*dip)
		m.i[k] = 172 * c.demand * share[k] * wander * (1 + 0.10*dip) * (1 + m.n.around(0.004))
		m.pf[k] = min(0.985, pf+m.n.around(0.003))
		m.p[k] = m.v[k] * m.i[k] * m.pf[k] / 1000
		m.q[k] = m.v[k] * m.i[k] * math.Sqrt(1-m.pf[k]*m.pf[k]) / 1000
		m.sumP += m.p[k]
		m.sumQ += m.q[k]
	}
	m.sumS = math.Hypot(m.sumP, m.sumQ)
	m.totalPF = m.sumP / max(m.sumS, 1e-9)
	m.freq = 50 + m.n.around(0.012)
	m.thdV = 1.7 + 0.9*c.demand + m.n.around(0.05)
	m.thdI = 12 - 6*c.demand + m.n.around(0.2)
	mean := (m.i[0] + m.i[1] + m.i[2]) / 3
	m.neutral = 0.5*math.Hypot(m.i[0]-mean, m.i[2]-mean) + 0.05*mean
	h := c.dt / hour
	m.hours += h * c.wearRate
	m.wh += m.sumP * 1000 * h
	m.kvarh += m.sumQ * h
}

func (m *meter) read(v []float64) {
	low, high := min(m.v[0], m.v[1], m.v[2]), max(m.v[0], m.v[1], m.v[2])
	alarm := bit(low < 195.5, 0) | bit(high > 253, 1) | bit(max(m.i[0], m.i[1], m.i[2]) > 250, 2) | bit(math.Abs(m.freq-50) > 0.5, 3)
	copy(v[meV1:], m.v[:])
	copy(v[meI1:], m.i[:])
	copy(v[meP1:], m.p[:])
	copy(v[meQ1:], m.q[:])
	copy(v[mePF1:], m.pf[:])
	v[meP], v[meQ], v[meS], v[mePF] = m.sumP, m.sumQ, m.sumS, m.totalPF
	v[meFreq], v[meTHDV], v[meTHDI], v[meNeutral] = m.freq, m.thdV, m.thdI, m.neutral
	v[meImport], v[meExport], v[meReactive], v[meHours] = m.wh, m.export, m.kvarh, m.hours
	v[meAlarm], v[meCT], v[meAlarmActive] = float64(alarm), 50, flag(alarm != 0)
}

func (m *meter) write(int, float64) {}

func (m *meter) totals() []*float64 { return []*float64{&m.hours, &m.wh, &m.kvarh} }
