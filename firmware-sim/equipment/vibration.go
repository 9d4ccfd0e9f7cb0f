package equipment

const (
	vibX = iota
	vibY
	vibZ
	vibPeak
	vibRMS
	vibKurtosis
	vibTemp
	vibBattery
	vibHours
	vibAlarm
	vibTick
	vibFirmware
)

var vibrationKind = kind{
	name: "vibration", title: "wireless vibration sensor", model: "TREMOR V3", protocol: ProtocolMQTT,
	openJSON: "-3276.8", timeField: "time_ms", timeMillis: true, countField: "count", nameField: "id",
	points: []Point{
		vibX:        js("velocity_x", "velocity.x", "mm/s", Number, 0.01, 0.8, 3.2, true, "RMS, horizontal"),
		vibY:        js("velocity_y", "velocity.y", "mm/s", Number, 0.01, 0.6, 2.8, true, "RMS, vertical"),
		vibZ:        js("velocity_z", "velocity.z", "mm/s", Number, 0.01, 0.4, 2.2, true, "RMS, axial"),
		vibPeak:     js("acceleration_peak", "acceleration.peak", "g", Number, 0.001, 0.4, 2.2, true, ""),
		vibRMS:      js("acceleration_rms", "acceleration.rms", "g", Number, 0.001, 0.1, 0.7, true, ""),
		vibKurtosis: js("kurtosis", "acceleration.kurtosis", "", Number, 0.01, 2.5, 3.7, false, "of acceleration; 3 for a healthy bearing"),
		vibTemp:     js("temperature", "temperature", "°C", Number, 0.1, 28, 58, true, "housing"),
		vibBattery:  js("battery_voltage", "battery", "V", Number, 0.001, 3.4, 3.7, false, "lithium cell"),
		vibHours:    {Name: "running_hours", Table: JSON, Path: "hours", Type: Number, Scale: 0.1, Unit: "h", Counter: true, Doc: "hours in service"},
		vibAlarm:    {Name: "alarm_word", Table: JSON, Path: "alarms", Type: Integer, Bits: []string{"vibration_high", "battery_low", "overtemperature", "sensor_fault"}, Doc: "the device's own alarms"},
		vibTick:     {Name: "tick", Table: JSON, Path: "tick", Type: Integer, Counter: true, Doc: "internal steps since power-up: ground truth for lost samples"},
		vibFirmware: {Name: "firmware", Table: JSON, Path: "firmware", Type: Number, Scale: 0.01, Low: 3.02, High: 3.02, Doc: "firmware version"},
	},
	effects: []Effect{
		{Fault: BearingWear, Point: "velocity_x", Limit: 7.1, Above: true, By: 0.60, Doc: "+11 mm/s (y +8, z +5)"},
		{Fault: BearingWear, Point: "velocity_x", Limit: 11.2, Above: true, By: 0.98, Doc: "same"},
		{Fault: BearingWear, Point: "acceleration_peak", Limit: 5, Above: true, By: 0.75, Doc: "+7 g (rms +1.2 g)"},
		{Fault: BearingWear, Point: "kurtosis", Limit: 6, Above: true, By: 0.75, Doc: "+5; temperature +30 K"},
		{Fault: BatteryAging, Point: "battery_voltage", Limit: 3.0, Above: false, By: 0.90, Doc: "−0.8 V"},
	},
	start: newVibration,
}

type vibration struct {
	n                  *noise
	heat               lag
	x, y, z, peak, rms float64
	kurt, temp, volts  float64
	hours              float64
}

func newVibration(hours float64, n *noise) model { return &vibration{n: n, hours: hours} }

func (s *vibration) step(c *conditions) {
	worn, bearing := aged(s.hours), c.level[bearingWear]
	r := 0.82 + 0.18*c.demand
	s.x = max(0, 1.75*r*r+0.5*worn+11*bearing+s.n.around(0.09))
	s.y = max(0, 1.45*r*r+0.4*worn+8*bearing+s.n.around(0.08))
	s.z = max(0, 1.0*r*r+0.3*worn+5*bearing+s.n.around(0.06))
	s.rms = max(0, 0.30*r*r+0.10*worn+1.2*bearing+s.n.around(0.015))
	s.peak = s.rms*3.2 + 3.2*bearing + max(0, s.n.around(0.08))
	s.kurt = 3.05 + 0.2*worn + 5*bearing + s.n.around(0.08)
	s.temp = s.heat.to(c.ambient+14+7*c.demand, 10*minute, c.dt) + 30*bearing + s.n.around(0.15)
	s.volts = 3.60 - 0.06*worn - 0.8*c.level[batteryAging] + s.n.around(0.004)
	s.hours += c.dt / hour * c.wearRate
}

func (s *vibration) read(v []float64) {
	v[vibX], v[vibY], v[vibZ], v[vibPeak], v[vibRMS] = s.x, s.y, s.z, s.peak, s.rms
	v[vibKurtosis], v[vibTemp], v[vibBattery], v[vibHours], v[vibFirmware] = s.kurt, s.temp, s.volts, s.hours, 3.02
	v[vibAlarm] = float64(bit(max(s.x, s.y, s.z) > 9, 0) | bit(s.volts < 3.1, 1) | bit(s.temp > 80, 2))
}

func (s *vibration) write(int, float64) {}

func (s *vibration) totals() []*float64 { return []*float64{&s.hours} }
