package console

// WriteForm lets an engineer write a point.
type WriteForm struct {
	Point, Title, Unit, Limits, Action string
	Now                                Value
	Choices                            []Option // instead of a number
	FourEyes                           bool
}

// WriteRow is a write in a list.
type WriteRow struct {
	ID                          string
	Asset                       Link
	Point, Value, Old, ReadBack string
	Reason, Message             string
	Status                      Pill
	By, DecidedBy               string
	Asked                       Moment
	Until                       Moment // how long it waits for approval
	Action                      string // base address of what may be decided; "" if nothing
	Mine                        bool   // who looks asked for it
	Back                        string
}

// Writes is the list of writes.
type Writes struct {
	Sites []Option
	Rows  []WriteRow
	Pager Pager
}

func (Writes) template() string { return "writes" }
