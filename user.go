package faultline

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Role is what a user is to an installation; docs/security.md says what each may do.
type Role string

// The roles. They are no ladder: an engineer changes rules and not tickets, an agent the reverse.
const (
	RoleViewer     Role = "viewer"     // reads
	RoleEngineer   Role = "engineer"   // answers for rules, alarms and equipment
	RoleAgent      Role = "agent"      // works at the service desk
	RoleTechnician Role = "technician" // works on site: own visits, tickets and records
	RoleCustomer   Role = "customer"   // owns assets: reads, reports, confirms, rates
	RoleAdmin      Role = "admin"      // all of it, and users, audit and configuration
)

// Roles are all roles, in the order in which people are shown them.
var Roles = []Role{RoleViewer, RoleEngineer, RoleAgent, RoleTechnician, RoleCustomer, RoleAdmin}

// User is a person who logs in. The name is what stands on tickets, verdicts, signatures and in the
// audit, so it is never changed and never given to somebody else; users are disabled, not removed.
type User struct {
	Name       string    `json:"name"`
	Display    string    `json:"display,omitempty"` // as people call them; the name if empty
	Mail       string    `json:"mail,omitempty"`
	Phone      string    `json:"phone,omitempty"`
	Language   string    `json:"language,omitempty"` // en or zh; en if empty
	Role       Role      `json:"role"`
	Sites      []string  `json:"sites,omitempty"` // what they see; empty: all. A customer always has some
	Disabled   bool      `json:"disabled,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	PasswordAt time.Time `json:"password_at,omitzero"` // when the password was set last
	Version    int       `json:"version"`
}

// Team is who tickets may be assigned to together.
type Team struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Sites   []string `json:"sites,omitempty"` // that it serves; empty: all
	Members []string `json:"members"`         // names of users
	Lead    string   `json:"lead,omitempty"`  // one of the members
	Version int      `json:"version"`
}

// Session is one browser that is logged in. Its secret is known to that browser only.
type Session struct {
	ID        string    `json:"id"` // names it to people; it opens nothing
	User      string    `json:"user"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at"`
	Until     time.Time `json:"until"` // ends then however much it is used
	From      string    `json:"from"`  // address
	Agent     string    `json:"agent"` // what the browser calls itself
}

// Token lets a program act for a user, within the user's own rights. Its secret is shown once.
type Token struct {
	ID         string    `json:"id"`
	User       string    `json:"user"`
	Name       string    `json:"name"` // what it is for
	Role       Role      `json:"role"`
	Sites      []string  `json:"sites,omitempty"` // empty: the user's
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"` // to the minute
}

// Languages that a user may choose.
var Languages = []string{"en", "zh"}

// reservedNames stand in histories for something that is no user.
var reservedNames = []string{"local", "operator", "terminal", "rules", "ingest", "gateway", "api", "system", "faultline", "nobody", "customer"}

// CheckUserName says what is wrong with a user's or a team's name: 1 to 64 of a-z, 0-9 and . _ - @, beginning with a
// letter or digit.
func CheckUserName(name string) error {
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-@", c)) {
			return fmt.Errorf("%w: name %q: use a-z, 0-9 and . _ - @, beginning with a letter or digit", ErrInvalid, name)
		}
	}
	switch {
	case name == "" || len(name) > 64:
		return fmt.Errorf("%w: a name has 1 to 64 characters", ErrInvalid)
	case slices.Contains(reservedNames, name):
		return fmt.Errorf("%w: name %q stands for a part of Faultline itself: choose another", ErrInvalid, name)
	}
	return nil
}

// Check says what is wrong with a user.
func (u *User) Check() error {
	if err := CheckUserName(u.Name); err != nil {
		return err
	}
	if !slices.Contains(Roles, u.Role) {
		return fmt.Errorf("%w: user %s: %q is no role: use one of %s", ErrInvalid, u.Name, u.Role, RoleList())
	}
	if u.Role == RoleCustomer && len(u.Sites) == 0 {
		return fmt.Errorf("%w: user %s: a customer needs the sites that are theirs", ErrInvalid, u.Name)
	}
	if u.Role == RoleAdmin && len(u.Sites) > 0 {
		return fmt.Errorf("%w: user %s: an admin answers for all sites: leave sites empty", ErrInvalid, u.Name)
	}
	if u.Language != "" && !slices.Contains(Languages, u.Language) {
		return fmt.Errorf("%w: user %s: language %q: use %s", ErrInvalid, u.Name, u.Language, strings.Join(Languages, " or "))
	}
	for _, f := range []struct{ name, text string }{{"display", u.Display}, {"mail", u.Mail}, {"phone", u.Phone}} {
		if len(f.text) > 200 || !utf8.ValidString(f.text) || strings.ContainsFunc(f.text, func(r rune) bool { return r < ' ' }) {
			return fmt.Errorf("%w: user %s: %s: at most 200 bytes on one line", ErrInvalid, u.Name, f.name)
		}
	}
	if u.Mail != "" && !strings.Contains(u.Mail, "@") {
		return fmt.Errorf("%w: user %s: mail %q has no @", ErrInvalid, u.Name, u.Mail)
	}
	return checkSites("user "+u.Name, u.Sites)
}

// Called is how people call the user.
func (u *User) Called() string {
	if u.Display != "" {
		return u.Display
	}
	return u.Name
}

// Check says what is wrong with a team; whether its members exist is not its to know.
func (t *Team) Check() error {
	if err := CheckUserName(t.ID); err != nil {
		return err
	}
	if t.Name = strings.TrimSpace(t.Name); t.Name == "" || len(t.Name) > 200 {
		return fmt.Errorf("%w: team %s: the name has 1 to 200 bytes", ErrInvalid, t.ID)
	}
	if t.Lead != "" && !slices.Contains(t.Members, t.Lead) {
		return fmt.Errorf("%w: team %s: its lead %s is no member", ErrInvalid, t.ID, t.Lead)
	}
	return checkSites("team "+t.ID, t.Sites)
}

func checkSites(what string, sites []string) error {
	for i, s := range sites {
		if strings.TrimSpace(s) == "" || len(s) > 200 || slices.Contains(sites[:i], s) {
			return fmt.Errorf("%w: %s: site %q is empty, too long or named twice", ErrInvalid, what, s)
		}
	}
	return nil
}

// RoleList names all roles, joined by commas.
func RoleList() string {
	names := make([]string, len(Roles))
	for i, r := range Roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// MayDelegate tells whether a user with this role may make a token with the other: an own role, or
// reading only, never more than the user may.
func (r Role) MayDelegate(to Role) bool {
	return r == to || r == RoleAdmin || to == RoleViewer && r != RoleCustomer
}

// NarrowSites is what of the sites lies within the others; empty means all in both. ok is false if nothing is
// left, which is not the same as all.
func NarrowSites(sites, within []string) (left []string, ok bool) {
	switch {
	case len(within) == 0:
		return sites, true
	case len(sites) == 0:
		return within, true
	}
	for _, s := range sites {
		if slices.Contains(within, s) {
			left = append(left, s)
		}
	}
	return left, len(left) > 0
}

// InviteTime is how long a one-time link that sets a password is good.
const InviteTime = 72 * time.Hour

// LongestToken is how many days a token may be good.
const LongestToken = 366

// For makes a token of a user's: it never holds more than the user does. What it names are its purpose, its role
// (the user's if empty) and its sites.
func (t Token) For(u *User, id string, now time.Time, days int) (Token, error) {
	t.ID, t.User, t.CreatedAt, t.ExpiresAt, t.Name = id, u.Name, now.UTC(), now.UTC().AddDate(0, 0, days), strings.TrimSpace(t.Name)
	if t.Role == "" {
		t.Role = u.Role
	}
	_, ok := NarrowSites(t.Sites, u.Sites)
	switch {
	case u.Disabled:
		return t, fmt.Errorf("%w: user %s is disabled", ErrRefused, u.Name)
	case t.Name == "" || len(t.Name) > 100 || !utf8.ValidString(t.Name) || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' }):
		return t, fmt.Errorf("%w: token: name: say in 1 to 100 bytes, on one line, what it is for", ErrInvalid)
	case days < 1 || days > LongestToken:
		return t, fmt.Errorf("%w: token: %d days: use 1 to %d", ErrInvalid, days, LongestToken)
	case !slices.Contains(Roles, t.Role):
		return t, fmt.Errorf("%w: token: %q is no role: use one of %s", ErrInvalid, t.Role, RoleList())
	case !u.Role.MayDelegate(t.Role):
		return t, fmt.Errorf("%w: token: %s is %s and cannot give the role %s", ErrRefused, u.Name, u.Role, t.Role)
	case t.Role == RoleCustomer && len(t.Sites) == 0 && len(u.Sites) == 0:
		return t, fmt.Errorf("%w: token: one of a customer needs the sites that are theirs", ErrInvalid)
	case !ok:
		return t, fmt.Errorf("%w: token: %s sees none of the sites %s", ErrRefused, u.Name, strings.Join(t.Sites, ", "))
	}
	return t, checkSites("token", t.Sites)
}
