package equipment

import "math"

const (
	chLeaving = iota
	chEntering
	chCondLeaving
	chCondEntering
	chEvapPressure
	chCondPressure
	chSuction
	chSuperheat
	chSubcooling
	chDischarge
	chCurrent
	chPower
	chCooling
	chCOP
	chCapacity
	chOilPressure
	chValve
	chVibration
	chFlow
	chHours
	chStarts
	chEnergy
	chAlarm
	chMode
	chApproach
	chTick
	chSetpoint
	chDemandLimit
	chModel
	chSerial
	chEnable
	chRunning
	chAlarmActive
	chFlowSwitch
)

var chillerKind = kind{
	name: "chiller", title: "water-cooled screw chiller", model: "POLARIS WCS-500", protocol: ProtocolModbus,
	order: BADC, openInt16: 0x7FFF,
	points: []Point{
		chLeaving:      {Name: "leaving_water_temperature", Table: Input, Address: 0, Type: Int16, Scale: 0.1, Unit: "°C", Low: 6, High: 8, Sensor: true, Doc: "chilled water out"},
		chEntering:     {Name: "entering_water_temperature", Table: Input, Address: 1, Type: Int16, Scale: 0.1, Unit: "°C", Low: 7.5, High: 14, Sensor: true, Doc: "chilled water in"},
		chCondLeaving:  {Name: "condenser_leaving_temperature", Table: Input, Address: 2, Type: Int16, Scale: 0.1, Unit: "°C", Low: 20, High: 37, Sensor: true, Doc: "cooling water out"},
		chCondEntering: {Name: "condenser_entering_temperature", Table: Input, Address: 3, Type: Int16, Scale: 0.1, Unit: "°C", Low: 18, High: 31, Sensor: true, Doc: "cooling water in"},
		chEvapPressure: {Name: "evaporator_pressure", Table: Input, Address: 4, Type: Int16, Scale: 0.01, Unit: "bar", Low: 2.9, High: 3.6, Sensor: true, Doc: "absolute, R134a"},
		chCondPressure: {Name: "condenser_pressure", Table: Input, Address: 5, Type: Int16, Scale: 0.01, Unit: "bar", Low: 6, High: 10.5, Sensor: true, Doc: "absolute, R134a"},
		chSuction:      {Name: "suction_temperature", Table: Input, Address: 6, Type: Int16, Scale: 0.1, Unit: "°C", Low: 4, High: 13, Sensor: true, Doc: "suction gas"},
		chSuperheat:    {Name: "superheat", Table: Input, Address: 7, Type: Int16, Scale: 0.1, Unit: "K", Low: 3.5, High: 8.5, Sensor: true, Doc: "suction gas above saturation"},
		chSubcooling:   {Name: "subcooling", Table: Input, Address: 8, Type: Int16, Scale: 0.1, Unit: "K", Low: 3, High: 7, Sensor: true, Doc: "liquid below saturation"},
		chDischarge:    {Name: "discharge_temperature", Table: Input, Address: 9, Type: Int16, Scale: 0.1, Unit: "°C", Low: 40, High: 70, Sensor: true, Doc: "discharge gas"},
		chCurrent:      {Name: "compressor_current", Table: Input, Address: 10, Type: Int16, Scale: 0.1, Unit: "A", Low: 30, High: 260, Sensor: true, Doc: "mean of the three phases"},
		chPower:        {Name: "power", Table: Input, Address: 11, Type: Int16, Scale: 0.1, Unit: "kW", Low: 20, High: 150, Doc: "electrical power taken"},
		chCooling:      {Name: "cooling_capacity", Table: Input, Address: 12, Type: Int16, Scale: 0.1, Unit: "kW", Low: 110, High: 620, Doc: "from flow and temperature difference"},
		chCOP:          {Name: "cop", Table: Input, Address: 13, Type: Int16, Scale: 0.01, Low: 3.2, High: 8, Doc: "cooling over electrical power"},
		chCapacity:     {Name: "capacity", Table: Input, Address: 14, Type: Int16, Scale: 0.1, Unit: "%", Low: 20, High: 100, Doc: "slide valve position"},
		chOilPressure:  {Name: "oil_pressure", Table: Input, Address: 15, Type: Int16, Scale: 0.01, Unit: "bar", Low: 1.8, High: 3.2, Sensor: true, Doc: "differential over the oil circuit"},
		chValve:        {Name: "expansion_valve", Table: Input, Address: 16, Type: Int16, Scale: 0.1, Unit: "%", Low: 30, High: 90, Doc: "opening"},
		chVibration:    {Name: "vibration", Table: Input, Address: 17, Type: Int16, Scale: 0.01, Unit: "mm/s", Low: 0.8, High: 3.6, Sensor: true, Doc: "velocity RMS, compressor"},
		chFlow:         {Name: "chilled_water_flow", Table: Input, Address: 18, Type: Int16, Scale: 0.1, Unit: "m³/h", Low: 80, High: 92, Sensor: true, Doc: "evaporator flow"},
		chHours:        {Name: "running_hours", Table: Input, Address: 30, Type: Uint32, Unit: "h", Counter: true, Doc: "hours running"},
		chStarts:       {Name: "starts", Table: Input, Address: 32, Type: Uint32, Counter: true, Doc: "compressor starts"},
		chEnergy:       {Name: "energy", Table: Input, Address: 34, Type: Uint32, Unit: "kWh", Counter: true, Doc: "electrical energy taken"},
		chAlarm:        {Name: "alarm_word", Table: Input, Address: 40, Type: Uint16, Bits: []string{"low_evaporator_pressure", "high_condenser_pressure", "high_superheat", "low_water_flow", "low_oil_pressure", "vibration_high", "sensor_fault"}, Doc: "the device's own alarms"},
		chMode:         {Name: "operating_mode", Table: Input, Address: 41, Type: Uint16, Low: 1, High: 1, Enum: []string{"off", "cooling", "alarm"}, Doc: "what it does now"},
		chApproach:     {Name: "evaporator_approach", Table: Input, Address: 50, Type: Float32, Unit: "K", Low: 2.5, High: 6.5, Doc: "leaving water above saturation"},
		chTick:         {Name: "tick", Table: Input, Address: 60, Type: Uint32, Counter: true, Doc: "internal steps since power-up: ground truth for lost samples"},
		chSetpoint:     {Name: "chilled_water_setpoint", Table: Holding, Address: 0, Type: Int16, Scale: 0.1, Unit: "°C", Low: 5, High: 12, Writable: true, Doc: "wanted leaving temperature; 7.0 when delivered"},
		chDemandLimit:  {Name: "demand_limit", Table: Holding, Address: 1, Type: Int16, Scale: 0.1, Unit: "%", Low: 100, High: 100, Doc: "current limit"},
		chModel:        {Name: "model", Table: Holding, Address: 100, Type: String, Words: 8, Doc: "model designation"},
		chSerial:       {Name: "serial", Table: Holding, Address: 110, Type: String, Words: 8, Doc: "serial number"},
		chEnable:       {Name: "run_command", Table: Coil, Address: 0, Type: Bool, Low: 0, High: 1, Writable: true, Doc: "1 cools, 0 stops"},
		chRunning:      {Name: "running", Table: Discrete, Address: 0, Type: Bool, Low: 1, High: 1, Doc: "the compressor runs"},
		chAlarmActive:  {Name: "alarm_active", Table: Discrete, Address: 1, Type: Bool, Doc: "any bit of the alarm word"},
		chFlowSwitch:   {Name: "flow_switch", Table: Discrete, Address: 2, Type: Bool, Low: 1, High: 1, Doc: "closed while chilled water flows (≥ 50 m³/h)"},
	},
	effects: []Effect{
		{Fault: RefrigerantLeak, Point: "superheat", Limit: 12, Above: true, By: 0.65, Doc: "+14 K"},
		{Fault: RefrigerantLeak, Point: "superheat", Limit: 16, Above: true, By: 0.95, Doc: "same"},
		{Fault: RefrigerantLeak, Point: "evaporator_pressure", Limit: 2.6, Above: false, By: 0.80, Doc: "−1.25 bar"},
		{Fault: RefrigerantLeak, Point: "evaporator_pressure", Limit: 2.35, Above: false, By: 1, Doc: "same"},
		{Fault: RefrigerantLeak, Point: "leaving_water_temperature", Limit: 9, Above: true, By: 1, Doc: "+3.2 K; subcooling −4.5 K, expansion valve +40 points, discharge temperature +12 K, cooling capacity −35 %"},
		{Fault: CloggedFilter, Point: "chilled_water_flow", Limit: 60, Above: false, By: 0.80, Doc: "−45 %; evaporator pressure −0.2 bar"},
		{Fault: CoolerFouling, Point: "condenser_pressure", Limit: 12.5, Above: true, By: 0.95, Doc: "+7 bar; discharge temperature +15 K, COP −20 %"},
		{Fault: BearingWear, Point: "vibration", Limit: 7.1, Above: true, By: 0.60, Doc: "+11 mm/s"},
		{Fault: BearingWear, Point: "vibration", Limit: 11.2, Above: true, By: 0.98, Doc: "same; oil pressure −0.6 bar, current +5 %"},
	},
	start: newChiller,
}

type chiller struct {
	n                             *noise
	setpoint                      float64
	run                           bool
	drive, load, tower, water     lag
	leaving, entering             float64
	condIn, condOut               float64
	evap, cond, superheat         float64
	subcool, suction, discharge   float64
	current, power, cooling, cop  float64
	oil, valve, vib, flow, approc float64
	hours, starts, energy         float64
}

func newChiller(hours float64, n *noise) model {
	return &chiller{n: n, setpoint: 7, run: true, hours: hours, starts: math.Floor(hours/60) + 2, energy: hours * 72}
}

// Saturation pressure of R134a in bar absolute over °C: exponential fits through the
// tabulated values at 0 and 5 °C (evaporator) and at 30 and 40 °C (condenser).
func evaporatorBar(t float64) float64 { return 2.93 * math.Exp(0.0355*t) }
func condenserBar(t float64) float64  { return 7.70 * math.Exp(0.0277*(t-30)) }

func (p *chiller) step(c *conditions) {
	worn := aged(p.hours)
	leak, clog, bearing := c.level[refrigerantLeak], c.level[cloggedFilter], c.level[bearingWear]
	fouling := c.level[coolerFouling]
	drive := p.drive.to(flag(p.run), 20, c.dt)
	load := p.load.to(c.demand, 3*minute, c.dt)

	p.flow = 86*(1-0.45*clog) + p.n.around(0.5)
	water := p.water.to(p.setpoint+(1-drive)*7, 2*minute, c.dt)
	p.leaving = water + 0.4*(c.demand-load) + 3.2*leak*drive + p.n.around(0.06)
	p.cooling = max(0, 600*load*(1-0.35*leak)*drive*(1+p.n.around(0.004)))
	p.entering = p.leaving + p.cooling/(p.flow*1.163)

	p.condIn = p.tower.to(23.5+0.6*(c.ambient-24), 20*minute, c.dt) + p.n.around(0.08)
	evapT := water - 3.2 - 1.6*load*drive - 0.5*worn
	condT := p.condIn + 3 + 5.5*load*drive + 1.5*worn
	p.evap = evaporatorBar(evapT) - drive*(1.25*leak+0.2*clog) + p.n.around(0.008)
	p.cond = condenserBar(condT) + (7*fouling-0.5*leak)*drive + p.n.around(0.02)
	p.approc = p.leaving - evapT

	carnot := (evapT + 273.15) / (condT - evapT)
	p.cop = carnot * (0.58 - 0.05*worn - 0.15*leak - 0.12*fouling) * drive
	p.power = 0
	if p.cop > 0.5 {
		p.power = p.cooling/p.cop*(1+0.05*bearing) + 4*drive
		p.cop = p.cooling / p.power
	}
	p.current = p.power*1.69 + p.n.around(0.4)*drive
	p.condOut = p.condIn + (p.cooling+p.power)/(125*1.163)

	p.superheat = max(0, (5.6+0.8*(load-0.6)+14*leak)*drive+p.n.around(0.25))
	p.subcool = max(0, (5-0.8*(load-0.6)-4.5*leak)*drive+p.n.around(0.2))
	p.suction = evapT + p.superheat
	p.discharge = condT + drive*(20+4*load+12*leak+15*fouling) + p.n.around(0.3)
	p.valve = min(100, drive*(30+45*load+40*leak)+p.n.around(0.4)*drive)
	p.oil = max(0, drive*(2.5+0.2*(load-0.6)-0.2*worn-0.6*bearing)+p.n.around(0.03))
	p.vib = max(0, drive*(1.3+0.7*load+0.6*worn+11*bearing)+p.n.around(0.08))

	h := c.dt / hour
	if drive > 0.05 {
		p.hours += h * c.wearRate
	}
	p.energy += p.power * h
}

func (p *chiller) read(v []float64) {
	running := p.power > 1
	alarm := bit(running && p.evap < 2.3, 0) | bit(p.cond > 14, 1) | bit(p.superheat > 15, 2) | bit(p.flow < 50, 3) |
		bit(running && p.oil < 1.2, 4) | bit(p.vib > 9, 5)
	mode := flag(running)
	if running && alarm != 0 {
		mode = 2
	}
	v[chLeaving], v[chEntering], v[chCondLeaving], v[chCondEntering] = p.leaving, p.entering, p.condOut, p.condIn
	v[chEvapPressure], v[chCondPressure], v[chSuction] = p.evap, p.cond, p.suction
	v[chSuperheat], v[chSubcooling], v[chDischarge] = p.superheat, p.subcool, p.discharge
	v[chCurrent], v[chPower], v[chCooling], v[chCOP] = max(0, p.current), p.power, p.cooling, p.cop
	v[chCapacity], v[chOilPressure], v[chValve] = p.load.v*p.drive.v*100, p.oil, p.valve
	v[chVibration], v[chFlow] = p.vib, p.flow
	v[chHours], v[chStarts], v[chEnergy] = p.hours, p.starts, p.energy
	v[chAlarm], v[chMode], v[chApproach] = float64(alarm), mode, p.approc
	v[chSetpoint], v[chDemandLimit] = p.setpoint, 100
	v[chEnable], v[chRunning], v[chAlarmActive], v[chFlowSwitch] = flag(p.run), flag(running), flag(alarm != 0), flag(p.flow >= 50)
}

func (p *chiller) write(point int, v float64) {
	switch point {
	case chSetpoint:
		p.setpoint = v
	case chEnable:
		if on := v != 0; on != p.run {
			p.run = on
			p.starts += flag(on)
		}
	}
}

func (p *chiller) totals() []*float64 { return []*float64{&p.hours, &p.starts, &p.energy} }
