package console

import faultline "github.com/faultline-iot/faultline"

// NE107 is a status of NAMUR NE 107 with its symbol: shape and letter say all, the colour repeats it.
type NE107 struct{ Code, Text, Why string }

var ne107 = map[faultline.NE107]NE107{
	faultline.NE107Failure:      {Code: "F", Text: "Failure"},
	faultline.NE107Check:        {Code: "C", Text: "Check function"},
	faultline.NE107OutOfSpec:    {Code: "S", Text: "Out of specification"},
	faultline.NE107Maintenance:  {Code: "M", Text: "Maintenance required"},
	faultline.NE107Good:         {Code: "G", Text: "Normal"},
	faultline.NE107NotConnected: {Code: "N", Text: "Not heard yet"},
}

// Status names a status of NE 107.
func Status(s faultline.NE107, why string) NE107 {
	v := ne107[s]
	v.Text, v.Why = translate(v.Text), why
	return v
}

// Devices is the list of devices, the worst first.
type Devices struct {
	Gateways               []GatewayHealth
	Sites, Statuses, Gates []Option // choices; Gates are the gateways
	Rows                   []DeviceRow
	Pager                  Pager
}

// GatewayHealth sums up the devices of a gateway.
type GatewayHealth struct {
	ID, Site, Href string
	State          Pill
	Seen           Moment
	Devices        int
	Unreachable    int
	Slowest        string // the worst of its devices' p99
	BadShare       string // of all samples
	Config         Pill   // the version of its configuration that runs, or that one was refused
	ConfigWhy      string // of a refusal
}

// DeviceRow is a device in a list.
type DeviceRow struct {
	Href, Position, Name, Gateway, Address string
	Status                                 NE107
	Reach                                  Pill
	Half, Slow                             string // latencies
	Good                                   Moment // last good
	Bad                                    string // share of samples without a value
	Errors                                 []ErrorCount
	Told                                   Moment // when the gateway told it
}

// ErrorCount is how many samples had no value for one reason, since the gateway started.
type ErrorCount struct{ Reason, Count string }

// Device is the page of one device.
type Device struct {
	Row            DeviceRow
	Site, SiteName string
	AssetHref      string
	Facts          []Fact
	Ranges         []Option
	Pictures       []Picture
	PicturesFailed bool
}

func (Devices) template() string { return "devices" }
func (Device) template() string  { return "device" }
