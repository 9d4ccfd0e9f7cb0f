package faultline

// FailureMode is an entry of our short list of what breaks, as statistics count it.
type FailureMode struct {
	Title    string `json:"title"`
	ISO14224 string `json:"iso14224,omitempty"` // code and term of ISO 14224:2016, annex B; empty: it is no failure there
}

// FailureModes are those that the shipped rules name. A rule may name others.
var FailureModes = map[string]FailureMode{
	"battery_ageing":      {"Battery aged", "LOO low output"},
	"battery_exhausted":   {"Battery exhausted", "LOO low output"},
	"bearing_damage":      {"Bearing damaged", "VIB vibration"},
	"capacity_loss":       {"Capacity lost", "LOO low output"},
	"clogged_filter":      {"Filter clogged", "PLU plugged / choked"},
	"clogged_strainer":    {"Strainer clogged", "PLU plugged / choked"},
	"communication_lost":  {"Communication lost", ""},
	"condenser_fouling":   {"Condenser fouled", "IHT insufficient heat transfer"},
	"device_alarm":        {"Alarm of the device itself", "UNK unknown"},
	"gateway_buffer_full": {"Gateway's buffer full", ""},
	"gateway_config":      {"Gateway's configuration refused", ""},
	"gateway_disk":        {"Gateway's disk full", ""},
	"gateway_lost":        {"Gateway lost", ""},
	"harmonics":           {"Harmonics", "PDE parameter deviation"},
	"idle_running":        {"Running idle", "SER minor in-service problem"},
	"instrument_failure":  {"Instrument failed", "AIR abnormal instrument reading"},
	"motor_overheating":   {"Motor overheated", "OHE overheating"},
	"oil_loss":            {"Oil lost", "ELU external leakage, utility medium"},
	"overheating":         {"Overheated", "OHE overheating"},
	"overload":            {"Overloaded", "PDE parameter deviation"},
	"pressure_deviation":  {"Pressure deviates", "PDE parameter deviation"},
	"refrigerant_loss":    {"Refrigerant lost", "ELU external leakage, utility medium"},
	"service_due":         {"Service due", ""},
	"short_cycling":       {"Cycling too often", "ERO erratic output"},
	"supply_disturbance":  {"Supply disturbed", ""},
	"supply_empty":        {"Supply empty", ""},
	"unusual_signal":      {"Signal unusual", "PDE parameter deviation"},
	"other":               {"Other", "OTH other"},
}
