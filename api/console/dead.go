package console

// DeadLetters is dead letters by reason, and the newest.
type DeadLetters struct {
	May     bool // replay and drop
	Group   string
	Dropped string // by limits of number and age; "" if none, or not to be told
	Groups  []DeadGroupRow
	Letters []LetterRow
	Pager   Pager
}

// DeadGroupRow is the dead letters of one series and reason.
type DeadGroupRow struct {
	ID, Href, Site, Gateway, Series, Reason string
	Count, Kept                             string
	First, Last                             Moment
	Here                                    bool // its letters are shown
}

// LetterRow is a dead letter.
type LetterRow struct {
	ID                    int64
	At                    Moment
	Gateway, Reason, Line string
	Sequence              uint64
}

func (DeadLetters) template() string { return "dead_letters" }
