package console

// Register is the page of what people keep of customers, sites, assets and contracts.
type Register struct {
	Report    *ImportReport // of the file that was just sent; nil without one
	Tables    []RegisterTable
	Customers []CustomerRow
	Rows      []RegisterRow
}

func (Register) template() string { return "register" }

// RegisterTable is a kind of file that may be imported.
type RegisterTable struct{ ID, Name, Needed, Others string }

// CustomerRow is a customer.
type CustomerRow struct{ Name, Contact, Mail, Phone, Address, Language string }

// RegisterRow is what people have set of an object.
type RegisterRow struct {
	Kind, ID, Href, Fields, Seed, By, Source string
	At                                       Moment
}

// MaxOutcomes are shown of one import.
const MaxOutcomes = 200

// ImportReport is what became of a file.
type ImportReport struct {
	Kind, File                 string
	Bad, DryRun                bool
	Rows, Added, Changed, Same int
	Problems                   []ImportProblem
	Outcomes                   []ImportOutcome
	More                       int // outcomes that are not shown
}

// ImportProblem is what is wrong with a row or cell.
type ImportProblem struct {
	Row          int
	Column, Text string
}

// ImportOutcome is what a row does.
type ImportOutcome struct {
	Row         int
	ID, Outcome string
	Fields      []ImportField
}

// ImportField is a field before and after.
type ImportField struct{ Name, Before, After string }
