package equipment

import "math"

const (
	pumpSpeed = iota
	pumpFlow
	pumpSuction
	pumpDischarge
	pumpDifferential
	pumpCurrent
	pumpPower
	pumpBearingDE
	pumpBearingNDE
	pumpWinding
	pumpVibrationDE
	pumpVibrationNDE
	pumpFluid
	pumpHours
	pumpStarts
	pumpEnergy
	pumpVolume
	pumpAlarm
	pumpStatus
	pumpEfficiency
	pumpHead
	pumpTick
	pumpSetpoint
	pumpBearingLimit
	pumpModel
	pumpSerial
	pumpFirmware
	pumpRun
	pumpRunning
	pumpAlarmActive
)

var pumpKind = kind{
	name: "pump", title: "centrifugal pump", model: "HALDEN CP-80-200", protocol: ProtocolModbus,
	order: ABCD, openInt16: 0x7FFF,
	points: []Point{
		pumpSpeed:        {Name: "speed", Table: Input, Address: 0, Type: Uint16, Unit: "rpm", Low: 2450, High: 2900, Sensor: true, Doc: "shaft speed"},
		pumpFlow:         {Name: "flow", Table: Input, Address: 1, Type: Uint16, Scale: 0.1, Unit: "m³/h", Low: 65, High: 125, Sensor: true, Doc: "volume flow"},
		pumpSuction:      {Name: "suction_pressure", Table: Input, Address: 2, Type: Int16, Scale: 0.01, Unit: "bar", Low: 1.2, High: 1.8, Sensor: true, Doc: "gauge pressure at the suction flange"},
		pumpDischarge:    {Name: "discharge_pressure", Table: Input, Address: 3, Type: Int16, Scale: 0.01, Unit: "bar", Low: 3.9, High: 5.6, Sensor: true, Doc: "gauge pressure at the discharge flange"},
		pumpDifferential: {Name: "differential_pressure", Table: Input, Address: 4, Type: Int16, Scale: 0.01, Unit: "bar", Low: 2.6, High: 3.9, Doc: "discharge less suction"},
		pumpCurrent:      {Name: "motor_current", Table: Input, Address: 5, Type: Uint16, Scale: 0.01, Unit: "A", Low: 12, High: 29, Sensor: true, Doc: "mean of the three phases"},
		pumpPower:        {Name: "motor_power", Table: Input, Address: 6, Type: Uint16, Scale: 0.01, Unit: "kW", Low: 7, High: 17, Doc: "electrical power taken"},
		pumpBearingDE:    {Name: "bearing_temperature_de", Table: Input, Address: 7, Type: Int16, Scale: 0.1, Unit: "°C", Low: 35, High: 68, Sensor: true, Doc: "bearing, drive end"},
		pumpBearingNDE:   {Name: "bearing_temperature_nde", Table: Input, Address: 8, Type: Int16, Scale: 0.1, Unit: "°C", Low: 30, High: 63, Sensor: true, Doc: "bearing, non-drive end"},
		pumpWinding:      {Name: "winding_temperature", Table: Input, Address: 9, Type: Int16, Scale: 0.1, Unit: "°C", Low: 35, High: 100, Sensor: true, Doc: "motor winding, hottest of three"},
		pumpVibrationDE:  {Name: "vibration_de", Table: Input, Address: 10, Type: Uint16, Scale: 0.01, Unit: "mm/s", Low: 0.6, High: 3.5, Sensor: true, Doc: "velocity RMS, drive end"},
		pumpVibrationNDE: {Name: "vibration_nde", Table: Input, Address: 11, Type: Uint16, Scale: 0.01, Unit: "mm/s", Low: 0.5, High: 3.2, Sensor: true, Doc: "velocity RMS, non-drive end"},
		pumpFluid:        {Name: "fluid_temperature", Table: Input, Address: 12, Type: Int16, Scale: 0.1, Unit: "°C", Low: 12, High: 24, Sensor: true, Doc: "pumped water"},
		pumpHours:        {Name: "running_hours", Table: Input, Address: 20, Type: Uint32, Scale: 0.1, Unit: "h", Counter: true, Doc: "hours running"},
		pumpStarts:       {Name: "starts", Table: Input, Address: 22, Type: Uint32, Counter: true, Doc: "motor starts"},
		pumpEnergy:       {Name: "energy", Table: Input, Address: 24, Type: Uint32, Scale: 0.1, Unit: "kWh", Counter: true, Doc: "electrical energy taken"},
		pumpVolume:       {Name: "volume", Table: Input, Address: 26, Type: Uint32, Unit: "m³", Counter: true, Doc: "volume pumped"},
		pumpAlarm:        {Name: "alarm_word", Table: Input, Address: 30, Type: Uint16, Bits: []string{"bearing_overtemperature", "vibration_high", "low_suction_pressure", "motor_overload", "winding_overtemperature", "sensor_fault"}, Doc: "the device's own alarms"},
		pumpStatus:       {Name: "status_word", Table: Input, Address: 31, Type: Uint16, Low: 7, High: 7, Bits: []string{"running", "ready", "remote", "alarm"}, Doc: "device state"},
		pumpEfficiency:   {Name: "efficiency", Table: Input, Address: 40, Type: Float32, Unit: "%", Low: 62, High: 82, Doc: "hydraulic over shaft power; falls with wear"},
		pumpHead:         {Name: "head", Table: Input, Address: 42, Type: Float32, Unit: "m", Low: 27, High: 40, Doc: "total head"},
		pumpTick:         {Name: "tick", Table: Input, Address: 60, Type: Uint32, Counter: true, Doc: "internal steps since power-up, one per tick: ground truth for lost samples"},
		pumpSetpoint:     {Name: "speed_setpoint", Table: Holding, Address: 0, Type: Uint16, Unit: "rpm", Low: 1450, High: 2900, Writable: true, Doc: "speed at full demand"},
		pumpBearingLimit: {Name: "bearing_temperature_limit", Table: Holding, Address: 10, Type: Int16, Scale: 0.1, Unit: "°C", Low: 90, High: 90, Doc: "the device's own alarm limit"},
		pumpModel:        {Name: "model", Table: Holding, Address: 100, Type: String, Words: 10, Doc: "model designation"},
		pumpSerial:       {Name: "serial", Table: Holding, Address: 110, Type: String, Words: 8, Doc: "serial number"},
		pumpFirmware:     {Name: "firmware", Table: Holding, Address: 120, Type: Uint16, Scale: 0.01, Low: 2.14, High: 2.14, Doc: "firmware version"},
		pumpRun:          {Name: "run_command", Table: Coil, Address: 0, Type: Bool, Low: 0, High: 1, Writable: true, Doc: "1 runs the pump, 0 stops it"},
		pumpRunning:      {Name: "running", Table: Discrete, Address: 0, Type: Bool, Low: 1, High: 1, Doc: "the motor turns"},
		pumpAlarmActive:  {Name: "alarm_active", Table: Discrete, Address: 1, Type: Bool, Doc: "any bit of the alarm word"},
	},
	effects: []Effect{
		{Fault: BearingWear, Point: "vibration_de", Limit: 7.1, Above: true, By: 0.60, Doc: "+11 mm/s (nde +5)"},
		{Fault: BearingWear, Point: "vibration_de", Limit: 11.2, Above: true, By: 0.98, Doc: "same"},
		{Fault: BearingWear, Point: "bearing_temperature_de", Limit: 85, Above: true, By: 0.85, Doc: "+60 K (nde +20 K), current +6 %, efficiency −4 points"},
		{Fault: BearingWear, Point: "bearing_temperature_de", Limit: 95, Above: true, By: 1, Doc: "same"},
		{Fault: CloggedFilter, Point: "suction_pressure", Limit: 0.8, Above: false, By: 0.80, Doc: "−1.3 bar"},
		{Fault: CloggedFilter, Point: "suction_pressure", Limit: 0.5, Above: false, By: 1, Doc: "same; flow −35 %, vibration +2.5 mm/s (cavitation)"},
	},
	start: newPump,
}

type pump struct {
	n                        *noise
	setpoint                 float64
	run                      bool
	drive, speed             lag // drive: 0 stopped, 1 at speed
	bearingDE, bearingNDE    lag
	winding, fluid           lag
	speedNow, flow, suction  float64
	head, efficiency         float64
	power, current           float64
	tempDE, tempNDE, tempW   float64
	vibDE, vibNDE, tempFluid float64
	hours, starts, energy    float64
	volume                   float64
}

func newPump(hours float64, n *noise) model {
	return &pump{n: n, setpoint: 2900, run: true, hours: hours, starts: math.Floor(hours/18) + 3, energy: hours * 11.6, volume: hours * 95}
}

func (p *pump) step(c *conditions) {
	worn := aged(p.hours)
	bearing, clog := c.level[bearingWear], c.level[cloggedFilter]
	drive := p.drive.to(flag(p.run), 2, c.dt)
	speed := p.speed.to(p.setpoint*(0.82+0.18*c.demand), 5, c.dt) * drive
	p.speedNow = max(0, speed+p.n.around(1.5)*drive)
	r := p.speedNow / 2900 // affinity laws: flow ∝ n, head ∝ n²

	p.flow = 120 * r * (0.55 + 0.5*c.demand) * (1 - 0.04*worn) * (1 - 0.35*clog) * (1 + p.n.around(0.006))
	p.head = max(0, 52*r*r-0.0012*p.flow*p.flow) * (1 - 0.05*worn)
	p.suction = 1.65 - 0.25*(p.flow/120)*(p.flow/120) - 1.3*clog*drive + p.n.around(0.015)
	q := 0.0
	if r > 0.05 {
		q = p.flow / (120 * r)
	}
	p.efficiency = max(0, (78-40*(q-0.85)*(q-0.85)-6*worn-4*bearing-6*clog)*drive)
	shaft := 0.0
	if p.efficiency > 5 {
		shaft = 9.81 * p.flow / 3600 * p.head / (p.efficiency / 100)
	}
	p.power = (shaft/0.92 + 0.4*drive) * (1 + p.n.around(0.004))
	p.current = (p.power/(math.Sqrt(3)*0.4*0.86) + 1.2*drive) * (1 + 0.06*bearing)

	// Heat of normal running is slow; a failing bearing heats as fast as its fault ramps.
	heat := drive * (22 + 1.1*(p.power-9))
	p.tempDE = p.bearingDE.to(c.ambient+heat+5*worn, 8*minute, c.dt) + 60*bearing*drive + p.n.around(0.15)
	p.tempNDE = p.bearingNDE.to(c.ambient+heat-5+4*worn, 8*minute, c.dt) + 20*bearing*drive + p.n.around(0.15)
	p.tempW = p.winding.to(c.ambient+drive*(14+1.4*p.current), 15*minute, c.dt) + 6*bearing*drive + p.n.around(0.2)
	p.tempFluid = p.fluid.to(17.5+0.3*(c.ambient-24), 20*minute, c.dt) + p.n.around(0.05)

	p.vibDE = max(0, (1.7*r*r+0.6*worn+11*bearing+2.5*clog)*drive+p.n.around(0.09))
	p.vibNDE = max(0, (1.4*r*r+0.5*worn+5*bearing+2*clog)*drive+p.n.around(0.08))

	h := c.dt / hour
	if drive > 0.05 {
		p.hours += h * c.wearRate
	}
	p.energy += p.power * h
	p.volume += p.flow * h
}

func (p *pump) read(v []float64) {
	discharge := p.suction + p.head*0.0981
	running := p.speedNow > 100
	alarm := bit(p.tempDE > 90 || p.tempNDE > 90, 0) | bit(max(p.vibDE, p.vibNDE) > 9, 1) | bit(p.suction < 0.6, 2) |
		bit(p.current > 32, 3) | bit(p.tempW > 130, 4)
	v[pumpSpeed], v[pumpFlow], v[pumpSuction], v[pumpDischarge] = p.speedNow, p.flow, p.suction, discharge
	v[pumpDifferential], v[pumpCurrent], v[pumpPower] = discharge-p.suction, p.current, p.power
	v[pumpBearingDE], v[pumpBearingNDE], v[pumpWinding] = p.tempDE, p.tempNDE, p.tempW
	v[pumpVibrationDE], v[pumpVibrationNDE], v[pumpFluid] = p.vibDE, p.vibNDE, p.tempFluid
	v[pumpHours], v[pumpStarts], v[pumpEnergy], v[pumpVolume] = p.hours, p.starts, p.energy, p.volume
	v[pumpAlarm] = float64(alarm)
	v[pumpStatus] = float64(bit(running, 0) | bit(true, 1) | bit(true, 2) | bit(alarm != 0, 3))
	v[pumpEfficiency], v[pumpHead] = p.efficiency, p.head
	v[pumpSetpoint], v[pumpBearingLimit], v[pumpFirmware] = p.setpoint, 90, 2.14
	v[pumpRun], v[pumpRunning], v[pumpAlarmActive] = flag(p.run), flag(running), flag(alarm != 0)
}

func (p *pump) write(point int, v float64) {
	switch point {
	case pumpSetpoint:
		p.setpoint = v
	case pumpRun:
		if on := v != 0; on != p.run {
			p.run = on
			p.starts += flag(on)
		}
	}
}

func (p *pump) totals() []*float64 { return []*float64{&p.hours, &p.starts, &p.energy, &p.volume} }
