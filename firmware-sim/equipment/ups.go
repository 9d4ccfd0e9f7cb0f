package equipment

const (
	upsStatus = iota
	upsInV
	upsInF
	upsOutV
	upsOutI
	upsOutP
	upsLoad
	upsCharge
	upsBattV
	upsBattT
	upsRuntime
	upsTransfers
	upsHours
	upsAlarm
	upsTick
	upsModel
	upsFirmware
)

// Values of the UPS's status.
const (
	upsOnline = iota
	upsOnBattery
	upsBatteryLow
	upsCharging
)

func js(name, path, unit string, typ Type, scale, low, high float64, sensor bool, doc string) Point {
	return Point{Name: name, Table: JSON, Path: path, Type: typ, Scale: scale, Unit: unit, Low: low, High: high, Sensor: sensor, Doc: doc}
}

var upsKind = kind{
	name: "ups", title: "uninterruptible power supply", model: "VOLTARA 6K", protocol: ProtocolMQTT,
	openJSON: "null", timeField: "ts", countField: "seq", nameField: "serial",
	points: []Point{
		upsStatus:    {Name: "status", Table: JSON, Path: "status", Type: Text, Enum: []string{"online", "on_battery", "battery_low", "charging"}, Doc: "what it does now; online in normal operation"},
		upsInV:       js("input_voltage", "input.voltage", "V", Number, 0.1, 222, 238, true, "mains"),
		upsInF:       js("input_frequency", "input.frequency", "Hz", Number, 0.01, 49.9, 50.1, true, "mains"),
		upsOutV:      js("output_voltage", "output.voltage", "V", Number, 0.1, 227, 233, true, ""),
		upsOutI:      js("output_current", "output.current", "A", Number, 0.01, 6, 18, true, ""),
		upsOutP:      js("output_power", "output.power", "W", Number, 1, 1500, 4000, false, ""),
		upsLoad:      js("load", "load", "%", Number, 0.1, 28, 65, false, "of 6 kVA"),
		upsCharge:    js("battery_charge", "battery.charge", "%", Number, 0.1, 98, 100, true, ""),
		upsBattV:     js("battery_voltage", "battery.voltage", "V", Number, 0.01, 53, 55.5, true, "48 V nominal"),
		upsBattT:     js("battery_temperature", "battery.temperature", "°C", Number, 0.1, 19, 33, true, ""),
		upsRuntime:   js("battery_runtime", "battery.runtime", "min", Number, 0.1, 9, 24, false, "at the present load"),
		upsTransfers: {Name: "transfers", Table: JSON, Path: "battery.transfers", Type: Integer, Counter: true, Doc: "times it went to battery"},
		upsHours:     {Name: "running_hours", Table: JSON, Path: "hours", Type: Number, Scale: 0.1, Unit: "h", Counter: true, Doc: "hours in service"},
		upsAlarm:     {Name: "alarm_word", Table: JSON, Path: "alarms", Type: Integer, Bits: []string{"mains_lost", "battery_low", "battery_overtemperature", "overload", "sensor_fault"}, Doc: "the device's own alarms"},
		upsTick:      {Name: "tick", Table: JSON, Path: "tick", Type: Integer, Counter: true, Doc: "internal steps since power-up: ground truth for lost samples"},
		upsModel:     {Name: "model", Table: JSON, Path: "model", Type: Text, Doc: "model designation"},
		upsFirmware:  {Name: "firmware", Table: JSON, Path: "firmware", Type: Number, Scale: 0.01, Low: 1.07, High: 1.07, Doc: "firmware version"},
	},
	effects: []Effect{
		{Fault: PowerDip, Point: "input_voltage", Limit: 180, Above: false, By: 0.30, Doc: "−100 %; status on_battery below 185 V"},
		{Fault: PowerDip, Point: "battery_charge", Limit: 60, Above: false, By: 1, After: 540, Doc: "discharges in 8 to 22 min from full, by load; status battery_low below 30 %"},
		{Fault: PowerDip, Point: "battery_charge", Limit: 30, Above: false, By: 1, After: 930, Doc: "same; recharges 1 %/min afterwards"},
		{Fault: BatteryAging, Point: "battery_temperature", Limit: 40, Above: true, By: 0.85, Doc: "+26 K"},
		{Fault: BatteryAging, Point: "battery_temperature", Limit: 45, Above: true, By: 1, Doc: "same"},
		{Fault: BatteryAging, Point: "battery_charge", Limit: 60, Above: false, By: 0.90, Doc: "−45 points; runtime −70 %, voltage −3 V"},
	},
	start: newUPS,
}

type ups struct {
	n                     *noise
	load, temp            lag
	charge                float64 // of the healthy battery, %
	battery               bool
	inV, inF, outV        float64
	loadNow, shown, battV float64
	battT, runtime        float64
	hours, transfers      float64
}

func newUPS(hours float64, n *noise) model {
	return &ups{n: n, charge: 99.6, hours: hours, transfers: 4}
}

func (u *ups) step(c *conditions) {
	dip, aging := c.level[powerDip], c.level[batteryAging]
	u.inV = max(0, (231-2*c.demand+u.n.around(0.5))*(1-dip))
	u.inF = 0
	if u.inV > 20 {
		u.inF = 50 + u.n.around(0.012)
	}
	u.loadNow = u.load.to(22+42*c.demand, 40, c.dt) + u.n.around(0.4)

	// A full battery holds 12 minutes at half load; an aged one 30 % of that.
	full := 12 * 50 / u.loadNow * (1 - 0.7*aging)
	onBattery := u.inV < 185
	if onBattery && !u.battery {
		u.transfers++
	}
	u.battery = onBattery
	if onBattery {
		u.charge = max(0, u.charge-100*c.dt/(full*minute))
	} else {
		u.charge = min(99.6, u.charge+c.dt/minute)
	}
	u.shown = min(100, max(0, u.charge-45*aging+u.n.around(0.1)))
	u.runtime = max(0, full*u.charge/100*(1+u.n.around(0.005)))
	u.outV = 230 + u.n.around(0.4)
	if u.charge <= 0 && onBattery {
		u.outV = 0
	}
	u.battV = 54.3 - 3*aging - flag(onBattery)*(2+5*(1-u.charge/100)) + u.n.around(0.05)
	u.battT = u.temp.to(25+0.4*(c.ambient-24)+2*u.loadNow/100+3*flag(onBattery), 20*minute, c.dt) + 26*aging + u.n.around(0.1)
	u.hours += c.dt / hour * c.wearRate
}

func (u *ups) read(v []float64) {
	low := u.shown < 30
	status := upsOnline
	switch {
	case u.battery && low:
		status = upsBatteryLow
	case u.battery:
		status = upsOnBattery
	case u.charge < 97:
		status = upsCharging
	}
	watts := u.loadNow / 100 * 6000 * flag(u.outV > 0)
	amps := 0.0
	if u.outV > 0 {
		amps = watts / u.outV
	}
	v[upsStatus], v[upsInV], v[upsInF] = float64(status), u.inV, u.inF
	v[upsOutV], v[upsOutI], v[upsOutP], v[upsLoad] = u.outV, amps, watts, u.loadNow
	v[upsCharge], v[upsBattV], v[upsBattT], v[upsRuntime] = u.shown, u.battV, u.battT, u.runtime
	v[upsTransfers], v[upsHours], v[upsFirmware] = u.transfers, u.hours, 1.07
	v[upsAlarm] = float64(bit(u.battery, 0) | bit(low, 1) | bit(u.battT > 45, 2) | bit(u.loadNow > 100, 3))
}

func (u *ups) write(int, float64) {}

func (u *ups) totals() []*float64 { return []*float64{&u.hours, &u.transfers} }
