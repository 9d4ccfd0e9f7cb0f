package console

// NavItem is one entry of the main navigation.
type NavItem struct {
	Section, Href, Text string
}

// UserRow is a user in a list.
type UserRow struct {
	Href, Name, Called, Mail, Phone, Role, Sites string
	State                                        Pill
	PasswordAt                                   Moment
	Disabled                                     bool
}

// UserForm is what a user's form holds.
type UserForm struct {
	Display, Mail, Phone    string
	Roles, Sites, Languages []Option
}

// Users is the list of users.
type Users struct {
	Rows []UserRow
	Form UserForm
}

// User is one user.
type User struct {
	Row      UserRow
	Version  int
	Self     bool
	Sessions []SessionRow
	Tokens   []TokenRow
	Form     UserForm
}

// SessionRow is a browser that is logged in.
type SessionRow struct {
	From, Agent        string
	Began, Seen, Until Moment
}

// TokenRow is an API token.
type TokenRow struct {
	ID, User, Name, Role, Sites string
	Made, Expires, Used         Moment
	Expired                     bool
	Revoke, Back                string
}

// TokenForm makes a token.
type TokenForm struct{ Roles, Sites []Option }

// Tokens is the list of API tokens.
type Tokens struct {
	All  bool // of everybody
	May  bool // make one
	Rows []TokenRow
	Form TokenForm
}

// Me is the page of who is logged in.
type Me struct {
	Name, Called, Role, Sites string
	PasswordAt                Moment
	May                       bool // change the password
	Sessions                  []SessionRow
}

// TeamForm is what a team's form holds.
type TeamForm struct {
	ID, Name, Lead string
	Version        int
	Sites, Members []Option
}

// TeamRow is a team in a list.
type TeamRow struct {
	TeamForm
	SiteText, MemberText string
}

// Teams is the list of teams.
type Teams struct {
	Rows []TeamRow
	New  TeamForm
}

// AuditRow is an entry of the audit.
type AuditRow struct {
	N                                                                  int64
	At                                                                 Moment
	By, Via, From, Role, Action, Object, Change, Before, After, Detail string
	Outcome                                                            Pill
}

// Audit is the list of entries of the audit.
type Audit struct {
	By, Text, Head string
	Outcomes       []Option
	Rows           []AuditRow
	Pager          Pager
}

func (Users) template() string  { return "users" }
func (User) template() string   { return "user" }
func (Tokens) template() string { return "tokens" }
func (Me) template() string     { return "me" }
func (Teams) template() string  { return "teams" }
func (Audit) template() string  { return "audit" }
