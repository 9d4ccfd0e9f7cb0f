package console

// FigureChoice is what figures are about.
type FigureChoice struct {
	Sites, Days, Origin []Option
	MadeUp              bool
}

// Figures shows how good the alarms were.
type Figures struct {
	Choice FigureChoice
	Tiles  []Tile
	Rows   []FigureRow
	Top    []ActorRow
}

// FigureRow is one site's figures.
type FigureRow struct {
	Site, PerDay, FloodShare, Mix                     string
	Alarms, Peak, Floods, Standing, Chattering, Muted int
	Met                                               Pill
}

// ActorRow is an alarm that takes much attention, with what to do about it.
type ActorRow struct {
	Title, Href, Share, Do string
	Asset                  Link
	Count                  int
	Standing, Chattering   bool
}

// Scorecard shows how good rules were.
type Scorecard struct {
	Choice FigureChoice
	Rows   []ScoreRow
}

// ScoreRow is one rule on one kind of asset.
type ScoreRow struct {
	Rule, Href, Kind, PerMonth, Precision, Nuisance, Lead, Propose string
	Verdicts, Changes                                              []string
	Tickets, Judged                                                int
	Improvement                                                    Link // the open ticket about it
}

var verdicts = map[string]string{
	"true": "Right, with time to act", "false": "False: there was no fault", "too_late": "Too late: the harm was done", "too_early": "Too early: nothing had to be done yet",
}

// Verdict names a verdict on a rule.
func Verdict(v string) string { return translate(verdicts[v]) }

func (Figures) template() string   { return "figures" }
func (Scorecard) template() string { return "scorecard" }

// Evaluation shows how the desk did.
type Evaluation struct {
	Choice  FigureChoice
	By      []Option
	Tiles   []Tile
	Rows    []EvaluationRow // groups, then the total
	Exports []Link
	Improve string // address of the form of an improvement; "" if one may not open it
}

// EvaluationRow is what one group came to.
type EvaluationRow struct {
	Name                                                                      string
	Total                                                                     bool
	Received, Solved, Failures, Repeats                                       int
	Response, Answer, Promises, Solution, Repair, Between, AtOnce, Preventive string
}

func (Evaluation) template() string { return "evaluation" }
