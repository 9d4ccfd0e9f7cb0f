package console

import (
	"html/template"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// Shell is what surrounds every page.
type Shell struct {
	Title   string
	Section string // of the navigation
	Nav     []NavItem
	By      string // who is logged in
	Logout  bool   // there is a session to end
	Demo    bool
	Version string
	Now     time.Time
	Notice  Notice

	Alarms, Tickets int // open, shown in the navigation

	// Live update: the address to fetch anew, what events concern it, and how often new values may.
	Href           string
	Topics         string
	Site, Position string
	ValuesEvery    time.Duration // 0: values do not concern it

	Zone string // filled by Render
	Page View   // filled by Render
}

// Badge is the number beside an entry of the navigation; 0 shows none.
func (s Shell) Badge(section string) int {
	switch section {
	case "alarms":
		return s.Alarms
	case "tickets":
		return s.Tickets
	}
	return 0
}

// Live tells whether the page updates itself.
func (s Shell) Live() bool { return s.Href != "" }

// Millis of ValuesEvery.
func (s Shell) Millis() int64 { return s.ValuesEvery.Milliseconds() }

// Notice tells what the last request did.
type Notice struct {
	Bad   bool
	Text  string
	Items []string
}

// views are all pages; each has a template of its name.
var views = []View{Overview{}, Assets{}, Asset{}, Devices{}, Device{}, Writes{}, Alarms{}, Alarm{}, Figures{}, Scorecard{}, Evaluation{}, Tickets{}, Ticket{}, NewTicket{}, Inspections{}, Rules{}, Rule{}, RuleVersion{}, Backtest{}, Data{}, DeadLetters{}, Contracts{}, Register{}, Reference{}, Login{}, Join{}, Me{}, Users{}, User{}, Teams{}, Tokens{}, Audit{}, Problem{}}

// Link leads somewhere.
type Link struct{ Href, Text string }

// Tile is a figure of the overview.
type Tile struct {
	Name, Figure, Unit, Tone string
	Href                     string
	Parts                    []TilePart
	Note                     string
}

// TilePart is one of the figures that make up a tile's.
type TilePart struct {
	Pill
	Count int
	Href  string
}

// AssetCard is an asset in a list.
type AssetCard struct {
	Href, ID, Name, Kind, Model, Serial, Site string
	State                                     Pill
	NoData                                    bool // beside a state that its alarms make
	Status                                    NE107
	Seen                                      Moment
	Alarms, Tickets                           int
	Values                                    []Value
	Coverage                                  Pill
}

// Value is a point's newest reading.
type Value struct {
	Name, Title, Text string
	Missing           bool // there is no value: Quality says why
	Quality           Pill
	Seen              Moment
	Good              string // newest value before that, if it is missing now
	GoodSeen          Moment
}

// TicketRow is a ticket in a list.
type TicketRow struct {
	Href, Number, Title, Kind string
	Priority, Status          Pill
	Asset                     Link
	Received                  Moment
	Due                       *Due // the next clock
	Count                     int
	MadeUp, Test, Late        bool
}

// Step is one thing to try in the demonstration.
type Step struct {
	Text, Href string
	Done       bool
}

// Overview is the fleet at a glance.
type Overview struct {
	Tiles   []Tile
	Guide   []Step // nil: no guide
	Next    []TicketRow
	Sites   []SiteGroup
	Hidden  int // assets not shown
	Tickets int
}

// SiteGroup is the assets of a site.
type SiteGroup struct {
	Name, ID, Customer string
	Assets             []AssetCard
}

// Option of a choice.
type Option struct {
	Value, Text string
	Chosen      bool
}

// Pager leads through a long list.
type Pager struct {
	From, To, Total      int
	Previous, Next, Noun string
}

// Assets is the list of assets.
type Assets struct {
	Text          string
	Sites, States []Option
	Rows          []AssetCard
	Pager         Pager
}

// Fact is a name with its value.
type Fact struct {
	Name, Text string
	Pill       *Pill
	Href       string
	When       *Moment
}

// Picture is a signal's picture.
type Picture struct {
	Title string
	SVG   template.HTML // by internal/chart
}

// RuleRow is a rule as it stands on an asset.
type RuleRow struct {
	Title, ID, Kind, Point, Mode string
	Points                       []string // where one rule watches several alike
	Version                      int
	Limits                       []string
	Delays                       string
}

// InspectionRow is an occurrence of an inspection plan.
type InspectionRow struct {
	Plan, Site   string
	Asset        Link
	Cycle        int
	Status       Pill
	Overdue      bool
	DueAt, Until Moment
	Reading      string
	Ticket       Link
	Done         Moment
	MadeUp       bool
}

// Asset is the page of one asset.
type Asset struct {
	ID, Name, Site, SiteName string
	State                    Pill
	NoData                   bool // beside a state that its alarms make
	Status                   NE107
	Reading                  []Fact // how its gateway does with reading it
	DeviceHref               string
	Dashboard                string      // in Grafana; "": none
	Setpoints                []WriteForm // points that may be written
	MayWrite                 bool
	Writes                   []WriteRow // what was written lately
	Facts                    []Fact
	Values                   []Value
	Ranges                   []Option
	Pictures                 []Picture
	PicturesFailed           bool
	Alarms                   []AlarmRow
	Tickets                  []TicketRow
	Rules                    []RuleRow
	Inspections              []InspectionRow
	Coverage                 faultline.Coverage
	CoveragePill             Pill
	CoverageUntil            Moment
	TestAction               string
	OutAction                string   // where to post to take it out of service
	ReturnAction             string   // where to post to return it
	Out                      string   // why it is out of service; "" if it is not
	Spans                    []Option // for how long it may be out of service

	Forecasts []ForecastView
}

// ForecastView is what a life rule says of the time that is left.
type ForecastView struct {
	Point, Text string
	Basis       string
	At          Moment
	SVG         template.HTML // empty: nothing to draw
}

// Tickets is the list of tickets.
type Tickets struct {
	Text                   string
	Sites, Kinds, Statuses []Option
	Shown                  []Option // open, ended, all
	Origin                 []Option // made up or not
	Rows                   []TicketRow
	Pager                  Pager
}

// MoveForm is one allowed move.
type MoveForm struct {
	To, Verb, Hint string
	Main           bool // the usual next step
	Resolve        bool // asks for the resolution
	Report         bool // asks for the report of work that did not solve it
	Cancel         bool // asks for a reason
	Promise        bool // asks when the customer can expect the solution
}

// Entered is what was typed into a form that was refused, or what is known already.
type Entered struct {
	faultline.Resolution
	To, Reason, DuplicateOf, Text, CommentKind, NextDay, Expected string
	Amend                                                         bool // of the form of corrections
}

// EvidenceView is a piece of evidence.
type EvidenceView struct {
	Why, Rule, Point string
	Moment, Caption  string // what At is, and what Samples are
	Version          int
	At, Began        Moment // Began is empty where it is not known
	SVG              template.HTML
	File             string // address of the picture
	Samples          []SampleRow
	Good, Bad        int
}

// SampleRow is one sample.
type SampleRow struct {
	At, Value string
	Quality   Pill
	Mark      string // the moment that raised it is named
}

// HistoryRow is a line of a ticket's history.
type HistoryRow struct {
	At                   Moment
	By, Kind, Text, Move string
	Tone                 string
}

// Stage of a ticket's way.
type Stage struct {
	Text          string
	Done, Current bool
}

// Ticket is the page of one ticket.
type Ticket struct {
	Row          TicketRow
	Dashboard    string // in Grafana, at its time; "": none
	Action       string // base address of its forms
	Version      int
	Why, Text    string
	Check        []string
	Stages       []Stage
	Unacked      int
	Moves        []MoveForm
	Reasons      []string
	Entered      Entered
	Verdicts     []Option // on the rule; nil if there is none
	Missing      []string // of the resolve gate
	Fault        bool
	NeedsNormal  bool // the condition is not back to normal
	Jobs         []string
	Clocks       []*Due
	Facts        []Fact
	Coverage     faultline.Coverage
	CoveragePill Pill
	Until        Moment
	Evidence     []EvidenceView
	Alarms       []AlarmRow
	History      []HistoryRow
	Resolution   []Fact
	CommentKinds []Option
	Amend        *AmendForm // nil if nothing can be corrected any more
	Promises     []PromiseRow
}

// PromiseRow is a time at which the customer was told to expect the solution.
type PromiseRow struct {
	Told, Expected Moment
	Text           string
	Broken         bool
}

// Inspections is the list of inspections.
type Inspections struct {
	Open, Ended []InspectionRow
	Plans       []PlanRow
}

// PlanRow is an inspection plan.
type PlanRow struct {
	Title, ID, Kind, Every, Window string
	Jobs                           []string
}

// Data is gateways, ledger and dead letters.
type Data struct {
	Facts    []Tile
	Gateways []GatewayRow
	Ledger   []LedgerRow
	Letters  []LetterRow // the newest
	// AllLetters is how many there are.
	AllLetters int
	Gaps       []GapRow // the newest
}

// GatewayRow is a gateway.
type GatewayRow struct {
	ID, Site string
	State    Pill
	Seen     Moment
	Assets   int
}

// LedgerRow accounts for a gateway's frames.
type LedgerRow struct {
	Gateway, Site, Epoch                                                            string
	Frames, Delivered, Late, Duplicate, Possibly, Missing, Dropped, Expired, Letter string
	Whole                                                                           bool // nothing is missing
	Last                                                                            Moment
}

// GapRow is a range of frames that are missing, or that a limit dropped.
type GapRow struct {
	Gateway, Site, Frames, Range string
	Dropped                      bool
	Noticed, Before, After       Moment // of the frames on both sides, where they are known
}

// Contracts is the list of contracts.
type Contracts struct {
	Rows      []ContractRow
	MayImport bool
}

// ContractRow is a contract.
type ContractRow struct {
	ID, Name, Customer, Sites string
	Version                   int
	From, Until               string
	Left                      Moment
	State                     Pill
	MadeUp                    bool
}

// Reference is the human page of the API.
type Reference struct{ Groups []ReferenceGroup }

// ReferenceGroup is the routes of one subject.
type ReferenceGroup struct {
	Name   string
	Routes []ReferenceRoute
}

// ReferenceRoute is one route.
type ReferenceRoute struct {
	Method, Path, Summary, Role string
	Params                      []string
	Link                        string // can be opened by itself
}

// Login is the page of a one-time link.
type Login struct {
	Token string // of a one-time link
	Users bool   // there are users: ask for name and password
	Name  string // as it was given before
}

// Problem is an error page.
type Problem struct {
	Status           int
	Title, Detail    string
	Allowed, Missing []string
}

func (Overview) template() string    { return "overview" }
func (Assets) template() string      { return "assets" }
func (Asset) template() string       { return "asset" }
func (Tickets) template() string     { return "tickets" }
func (Ticket) template() string      { return "ticket" }
func (Inspections) template() string { return "inspections" }
func (Data) template() string        { return "data" }
func (Contracts) template() string   { return "contracts" }
func (Reference) template() string   { return "reference" }
func (Login) template() string       { return "login" }
func (Problem) template() string     { return "problem" }
