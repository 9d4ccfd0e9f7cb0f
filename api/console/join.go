package console

// Join is the page of a one-time link that sets a user's password.
type Join struct {
	Token string
	Name  string
	Until Moment
}

func (Join) template() string { return "join" }
