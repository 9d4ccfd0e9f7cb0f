package console

// AlarmRow is an alarm in a list.
type AlarmRow struct {
	ID, Title, Why, Rule string
	Href                 string // of its own page
	State, Severity      Pill
	Reason               string // why it is in its state
	Asset                Link
	Raised, Cleared      Moment
	Count                int
	Ticket               Link
	Acknowledge          string   // where to post; "" if there is nothing to acknowledge
	Deeds                []Deed   // what else may be ended
	Quiet                string   // base address for keeping it from people; "" if that is not offered
	Spans                []Option // for how long
	Back                 string   // where to go afterwards
	MadeUp, Chattering   bool
}

// Deed is a button that needs no words.
type Deed struct{ Action, Name string }

// Alarms lists alarms.
type Alarms struct {
	All    bool
	Sites  []Option
	States []Option
	Rows   []AlarmRow
	Pager  Pager
}

// Alarm shows one alarm and all that happened to it, the newest first.
type Alarm struct {
	Row     AlarmRow
	Facts   []Fact
	History []TransitionRow
	Cut     bool // there is more history than is shown
}

// TransitionRow is one transition of an alarm.
type TransitionRow struct {
	At, Stored Moment // Stored only if the hub knew much later
	Transition Pill
	Severity   Pill
	By, Why    string
}

var transitionTones = map[string]string{"raised": "critical", "severity_rose": "critical", "cleared": "normal", "acknowledged": "info", "chattering": "warning", "reported": "warning", "suppressed": "no_data", "shelved": "no_data", "out_of_service": "no_data"}

var transitionNames = map[string]string{
	"raised": "Raised", "cleared": "Back to normal", "acknowledged": "Acknowledged", "severity_rose": "Severity rose", "chattering": "Chattering", "settled": "Chattering ended", "change_point": "Signals changed",
	"suppressed": "Suppressed", "released": "No longer suppressed", "shelved": "Shelved", "unshelved": "No longer shelved", "out_of_service": "Out of service", "returned": "Back in service", "reset": "Reset", "reported": "Told to people",
}

// Transition names a transition of an alarm.
func Transition(t string) Pill {
	p := Pill{transitionTones[t], Word(t)}
	if p.Tone == "" {
		p.Tone = "muted"
	}
	if n, ok := transitionNames[t]; ok {
		p.Text = translate(n)
	}
	return p
}

func (Alarms) template() string { return "alarms" }
func (Alarm) template() string  { return "alarm" }
