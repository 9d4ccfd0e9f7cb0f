package equipment

import "math"

const (
	compPressure = iota
	compDischargeTemp
	compOilTemp
	compOilFilter
	compAirFilter
	compCurrent
	compPower
	compDewPoint
	compLoadState
	compCapacity
	compWinding
	compVibration
	compHours
	compLoadedHours
	compStarts
	compCycles
	compEnergy
	compAlarm
	compStatus
	compAir
	compSpecific
	compTick
	compSetpoint
	compUnload
	compServiceInterval
	compModel
	compSerial
	compIntake
	compAmbient
	compEnable
	compRunning
	compLoaded
	compAlarmActive
)

var compressorKind = kind{
	name: "compressor", title: "oil-injected screw compressor", model: "NORVIK SK55", protocol: ProtocolModbus,
	order: CDAB, pad: ' ', openInt16: 0x8000,
	points: []Point{
		compPressure:        {Name: "discharge_pressure", Table: Holding, Address: 100, Type: Int16, Scale: 0.01, Unit: "bar", Low: 6.6, High: 7.7, Sensor: true, Doc: "gauge, between load and unload pressure"},
		compDischargeTemp:   {Name: "discharge_temperature", Table: Holding, Address: 101, Type: Int16, Scale: 0.1, Unit: "°C", Low: 62, High: 95, Sensor: true, Doc: "air end outlet"},
		compOilTemp:         {Name: "oil_temperature", Table: Holding, Address: 102, Type: Int16, Scale: 0.1, Unit: "°C", Low: 50, High: 84, Sensor: true, Doc: "injected oil"},
		compOilFilter:       {Name: "oil_filter_dp", Table: Holding, Address: 103, Type: Int16, Scale: 0.001, Unit: "bar", Low: 0.15, High: 0.55, Sensor: true, Doc: "differential pressure; grows towards the 4,000 h service"},
		compAirFilter:       {Name: "air_filter_dp", Table: Holding, Address: 104, Type: Int16, Scale: 0.1, Unit: "mbar", Low: 8, High: 35, Sensor: true, Doc: "differential pressure of the intake filter"},
		compCurrent:         {Name: "motor_current", Table: Holding, Address: 105, Type: Uint16, Scale: 0.1, Unit: "A", Low: 30, High: 118, Sensor: true, Doc: "about 38 unloaded, 105 loaded"},
		compPower:           {Name: "motor_power", Table: Holding, Address: 106, Type: Uint16, Scale: 0.1, Unit: "kW", Low: 12, High: 66, Doc: "electrical power taken"},
		compDewPoint:        {Name: "dew_point", Table: Holding, Address: 107, Type: Int16, Scale: 0.1, Unit: "°C", Low: 0, High: 7, Sensor: true, Doc: "pressure dew point behind the dryer"},
		compLoadState:       {Name: "load_state", Table: Holding, Address: 108, Type: Uint16, Low: 1, High: 2, Enum: []string{"stopped", "unloaded", "loaded"}, Doc: "what it does now"},
		compCapacity:        {Name: "capacity", Table: Holding, Address: 109, Type: Uint16, Scale: 0.1, Unit: "%", Low: 20, High: 100, Doc: "share of time loaded, 5 minutes' mean"},
		compWinding:         {Name: "winding_temperature", Table: Holding, Address: 110, Type: Int16, Scale: 0.1, Unit: "°C", Low: 40, High: 105, Sensor: true, Doc: "motor winding"},
		compVibration:       {Name: "vibration", Table: Holding, Address: 111, Type: Uint16, Scale: 0.01, Unit: "mm/s", Low: 1, High: 4.2, Sensor: true, Doc: "velocity RMS, air end"},
		compHours:           {Name: "running_hours", Table: Holding, Address: 120, Type: Uint32, Scale: 0.1, Unit: "h", Counter: true, Doc: "hours running, loaded or not"},
		compLoadedHours:     {Name: "loaded_hours", Table: Holding, Address: 122, Type: Uint32, Scale: 0.1, Unit: "h", Counter: true, Doc: "hours loaded"},
		compStarts:          {Name: "starts", Table: Holding, Address: 124, Type: Uint32, Counter: true, Doc: "motor starts"},
		compCycles:          {Name: "load_cycles", Table: Holding, Address: 126, Type: Uint32, Counter: true, Doc: "times loaded"},
		compEnergy:          {Name: "energy", Table: Holding, Address: 128, Type: Float64, Unit: "kWh", Counter: true, Doc: "electrical energy taken"},
		compAlarm:           {Name: "alarm_word", Table: Holding, Address: 140, Type: Uint16, Bits: []string{"discharge_overtemperature", "oil_filter_clogged", "air_filter_clogged", "vibration_high", "motor_overload", "overpressure", "sensor_fault"}, Doc: "the device's own alarms"},
		compStatus:          {Name: "status_word", Table: Holding, Address: 141, Type: Uint16, Low: 13, High: 15, Bits: []string{"running", "loaded", "ready", "remote", "alarm"}, Doc: "device state"},
		compAir:             {Name: "air_delivery", Table: Holding, Address: 150, Type: Float32, Unit: "m³/min", Low: 1.5, High: 10.5, Doc: "free air delivered, 5 minutes' mean"},
		compSpecific:        {Name: "specific_power", Table: Holding, Address: 152, Type: Float32, Unit: "kW/(m³/min)", Low: 5.4, High: 12, Doc: "power over delivery; lower is better"},
		compTick:            {Name: "tick", Table: Holding, Address: 160, Type: Uint32, Counter: true, Doc: "internal steps since power-up: ground truth for lost samples"},
		compSetpoint:        {Name: "load_pressure", Table: Holding, Address: 200, Type: Int16, Scale: 0.01, Unit: "bar", Low: 5, High: 7, Writable: true, Doc: "loads below this pressure"},
		compUnload:          {Name: "unload_pressure", Table: Holding, Address: 201, Type: Int16, Scale: 0.01, Unit: "bar", Low: 7.5, High: 7.5, Doc: "load pressure + 0.7"},
		compServiceInterval: {Name: "service_interval", Table: Holding, Address: 202, Type: Uint16, Unit: "h", Low: 4000, High: 4000, Doc: "running hours between services"},
		compModel:           {Name: "model", Table: Holding, Address: 300, Type: String, Words: 8, Doc: "padded with spaces"},
		compSerial:          {Name: "serial", Table: Holding, Address: 310, Type: String, Words: 8, Doc: "padded with spaces"},
		compIntake:          {Name: "intake_temperature", Table: Input, Address: 0, Type: Int16, Scale: 0.1, Unit: "°C", Low: 14, High: 36, Sensor: true, Doc: "intake air"},
		compAmbient:         {Name: "ambient_temperature", Table: Input, Address: 1, Type: Int16, Scale: 0.1, Unit: "°C", Low: 14, High: 34, Sensor: true, Doc: "plant room"},
		compEnable:          {Name: "run_command", Table: Coil, Address: 0, Type: Bool, Low: 0, High: 1, Writable: true, Doc: "1 runs, 0 stops"},
		compRunning:         {Name: "running", Table: Discrete, Address: 0, Type: Bool, Low: 1, High: 1, Doc: "the motor turns"},
		compLoaded:          {Name: "loaded", Table: Discrete, Address: 1, Type: Bool, Low: 0, High: 1, Doc: "delivers air"},
		compAlarmActive:     {Name: "alarm_active", Table: Discrete, Address: 2, Type: Bool, Doc: "any bit of the alarm word"},
	},
	effects: []Effect{
		{Fault: CloggedFilter, Point: "oil_filter_dp", Limit: 0.8, Above: true, By: 0.70, Doc: "+1.0 bar"},
		{Fault: CloggedFilter, Point: "oil_filter_dp", Limit: 1.0, Above: true, By: 0.90, Doc: "same; oil temperature +8 K, discharge temperature +6 K"},
		{Fault: CoolerFouling, Point: "discharge_temperature", Limit: 105, Above: true, By: 0.95, Doc: "+48 K"},
		{Fault: CoolerFouling, Point: "discharge_temperature", Limit: 110, Above: true, By: 1, Doc: "same; oil temperature +40 K"},
		{Fault: BearingWear, Point: "vibration", Limit: 7.1, Above: true, By: 0.60, Doc: "+11 mm/s"},
		{Fault: BearingWear, Point: "vibration", Limit: 11.2, Above: true, By: 0.98, Doc: "same; discharge temperature +9 K, current +8 %"},
	},
	start: newCompressor,
}

type compressor struct {
	n                            *noise
	setpoint                     float64
	run, loaded                  bool
	drive, duty, amps            lag
	discharge, windingLag, oilLg lag
	pressure                     float64
	filterHours                  float64 // at the start of the simulation, since the last service
	hoursAtStart                 float64
	tempD, tempOil, tempW        float64
	oilFilter, airFilter         float64
	current, power, dew, vib     float64
	air, specific                float64
	intake, ambient              float64
	hours, loadedHours, starts   float64
	cycles, energy               float64
}

func newCompressor(hours float64, n *noise) model {
	return &compressor{
		n: n, setpoint: 6.8, run: true, pressure: 7.1, filterHours: math.Mod(hours, 4000), hoursAtStart: hours,
		hours: hours, loadedHours: hours * 0.66, starts: math.Floor(hours/40) + 2, cycles: math.Floor(hours * 28), energy: hours * 43,
	}
}

// The pressure band between load and unload, and the delivery of the air end over the demand of the plant.
const (
	compBand  = 0.7  // bar
	compRates = 0.03 // bar/s at full delivery and no demand
)

func (p *compressor) step(c *conditions) {
	worn := aged(p.hours)
	bearing, clog, fouling := c.level[bearingWear], c.level[cloggedFilter], c.level[coolerFouling]
	drive := p.drive.to(flag(p.run), 3, c.dt)

	// The receiver fills while loaded and empties with demand. A step longer than a cycle
	// only sees one sample of the saw-tooth, which the clamp keeps in its band.
	before := p.loaded
	p.loaded = p.run && (p.pressure < p.setpoint || (p.loaded && p.pressure < p.setpoint+compBand))
	gain := flag(p.loaded)*drive - c.demand
	p.pressure += gain * compRates * c.dt
	p.pressure = max(p.pressure, 0)
	if p.run && drive > 0.9 {
		p.pressure = min(max(p.pressure, p.setpoint-0.08), p.setpoint+compBand+0.08)
	}
	duty := p.duty.to(c.demand*flag(p.run), 5*minute, c.dt)
	if p.loaded && !before {
		p.cycles++
	}

	amps := 38.0
	if p.loaded {
		amps = 104 + 6*worn
	}
	p.current = max(0, p.amps.to(amps*drive, 1.5, c.dt)*(1+0.08*bearing)*(1+p.n.around(0.008)))
	p.power = p.current * 0.4 * math.Sqrt(3) * 0.83
	mean := (38 + 66*duty) * 0.4 * math.Sqrt(3) * 0.83 * drive
	p.air = 10.2 * duty * (1 - 0.05*worn) * drive
	p.specific = 0
	if p.air > 0.5 {
		p.specific = mean / p.air
	}

	p.ambient = c.ambient + p.n.around(0.1)
	p.intake = c.ambient + 2*drive + p.n.around(0.1)
	rise := drive * (43 + 14*duty + 4*worn)
	slow := p.discharge.to(c.ambient+rise, 6*minute, c.dt)
	p.tempD = slow + drive*(48*fouling+6*clog+9*bearing) + p.n.around(0.3)
	p.tempOil = p.oilLg.to(slow-11*drive, 6*minute, c.dt) + drive*(40*fouling+8*clog+4*bearing) + p.n.around(0.2)
	p.tempW = p.windingLag.to(c.ambient+drive*(20+42*duty), 15*minute, c.dt) + p.n.around(0.3)

	sinceService := min(max(p.filterHours+p.hours-p.hoursAtStart, 0), 6000) / 4000
	p.oilFilter = max(0, drive*(0.19+0.15*sinceService+0.05*duty+1.0*clog)+p.n.around(0.004))
	p.airFilter = drive*(12+9*sinceService+6*duty) + p.n.around(0.3)
	p.dew = 3 + 0.15*(c.ambient-24) + 0.8*(duty-0.6) + p.n.around(0.1)
	p.vib = max(0, drive*(1.9+0.6*duty+0.6*worn+11*bearing)+p.n.around(0.1))

	h := c.dt / hour
	share := flag(p.loaded)
	if c.dt > 10 {
		share = c.demand
	}
	if drive > 0.05 {
		p.hours += h * c.wearRate
		p.loadedHours += h * share * c.wearRate
	}
	p.energy += mean * h
}

func (p *compressor) read(v []float64) {
	pressure := p.pressure + p.n.around(0.01)
	running := p.current > 5
	loaded := p.loaded && running
	state := flag(running) + flag(loaded)
	alarm := bit(p.tempD > 108, 0) | bit(p.oilFilter > 0.9, 1) | bit(p.airFilter > 50, 2) | bit(p.vib > 9, 3) |
		bit(p.current > 125, 4) | bit(p.pressure > 8.2, 5)
	v[compPressure], v[compDischargeTemp], v[compOilTemp] = pressure, p.tempD, p.tempOil
	v[compOilFilter], v[compAirFilter], v[compCurrent], v[compPower] = p.oilFilter, p.airFilter, p.current, p.power
	v[compDewPoint], v[compLoadState], v[compCapacity] = p.dew, state, p.duty.v*100
	v[compWinding], v[compVibration] = p.tempW, p.vib
	v[compHours], v[compLoadedHours], v[compStarts], v[compCycles], v[compEnergy] = p.hours, p.loadedHours, p.starts, p.cycles, p.energy
	v[compAlarm] = float64(alarm)
	v[compStatus] = float64(bit(running, 0) | bit(loaded, 1) | bit(true, 2) | bit(true, 3) | bit(alarm != 0, 4))
	v[compAir], v[compSpecific] = p.air, p.specific
	v[compSetpoint], v[compUnload], v[compServiceInterval] = p.setpoint, p.setpoint+compBand, 4000
	v[compIntake], v[compAmbient] = p.intake, p.ambient
	v[compEnable], v[compRunning], v[compLoaded], v[compAlarmActive] = flag(p.run), flag(running), flag(loaded), flag(alarm != 0)
}

func (p *compressor) write(point int, v float64) {
	switch point {
	case compSetpoint:
		p.setpoint = v
	case compEnable:
		if on := v != 0; on != p.run {
			p.run = on
			p.starts += flag(on)
		}
	}
}

func (p *compressor) totals() []*float64 {
	return []*float64{&p.hours, &p.loadedHours, &p.starts, &p.cycles, &p.energy}
}
