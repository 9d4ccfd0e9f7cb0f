package console

// Rules lists the rules by name.
type Rules struct{ Rows []RuleListRow }

// RuleListRow is one rule.
type RuleListRow struct {
	Name, Title, Href, Kind, AssetKind, FailureMode, ISO string
	Live                                                 int
	State                                                Pill
	Newest                                               *RuleVersionRow // if it is not the live one
}

// RuleVersionRow is one version.
type RuleVersionRow struct {
	Version        int
	Href, By, Note string
	At             Moment
	State          Pill
}

// Rule is one rule with its versions, and the form that writes a new one.
type Rule struct {
	Row          RuleListRow
	New          bool // there is no version yet
	Body, Note   string
	Shown        int // the version that Body is, before it is edited
	NewestNumber int
	Versions     []RuleVersionRow
	History      []RuleVersionRow
	Facts        []Fact
}

// RuleVersion is one version: what it changes, its tests, its back-test, and what may be done with it.
type RuleVersion struct {
	Name, Title, Href string
	Row               RuleVersionRow
	Live              int // 0: none
	Compared          int // with this version; 0: nothing
	Lines             []DiffRow
	Added, Removed    int
	MayEnable, MayEnd bool
	Back              bool // enabling is a roll-back
	Tests             int
	Tested            []TestRow
	Problems          []string
	Assets            []Option
	Days              []Option
}

// DiffRow is a line of a comparison.
type DiffRow struct {
	Class, Op, Text string
}

// TestRow is one test that was played.
type TestRow struct {
	Name string
	Pill Pill
}

// Backtest is a back-test that is going on or done.
type Backtest struct {
	Rule, Href, Asset, AssetHref string
	From, To                     Moment
	Done                         bool
	Percent                      int
	Error                        string
	Used, Took                   string
	Notes                        []string
	Samples                      int64
	Raised, Were, Missed         int
	Tickets                      int
	Rows                         []BacktestRow
}

// BacktestRow is one alarm of a back-test.
type BacktestRow struct {
	At                         Moment
	Lasted, Why, Ticket, Image string
	Severity, Was              Pill
}

func (Rules) template() string       { return "rules" }
func (Rule) template() string        { return "rule" }
func (RuleVersion) template() string { return "ruleversion" }
func (Backtest) template() string    { return "backtest" }
