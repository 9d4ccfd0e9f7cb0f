package api

import (
	"context"
	"slices"
	"time"

	faultline "github.com/faultline-iot/faultline"
)

// Users, what they log in with, and teams, as one caller may see and change them: admins all, others themselves.

// self refuses who is neither an admin nor the user that it is about.
func (v *view) self(name string) error {
	if v.who.role == faultline.RoleAdmin || name != "" && v.who.user.Name == name {
		return nil
	}
	return forbidden("only an admin may see or change other users")
}

// Users lists all, for admins.
func (v *view) Users(ctx context.Context) ([]faultline.User, error) {
	if err := v.self(""); err != nil {
		return nil, err
	}
	return v.in.Users(ctx)
}

// User gives one.
func (v *view) User(ctx context.Context, name string) (faultline.User, error) {
	if err := v.self(name); err != nil {
		return faultline.User{}, err
	}
	return v.in.User(ctx, name)
}

// AddUser is for admins.
func (v *view) AddUser(ctx context.Context, u faultline.User) (faultline.User, error) {
	if err := v.self(""); err != nil {
		return u, err
	}
	return v.in.AddUser(ctx, u, "")
}

// ChangeUser is for admins.
func (v *view) ChangeUser(ctx context.Context, name string, version int, change func(*faultline.User) error) (faultline.User, error) {
	if err := v.self(""); err != nil {
		return faultline.User{}, err
	}
	return v.in.ChangeUser(ctx, name, version, change)
}

// SetSecret sets the caller's own password.
func (v *view) SetSecret(ctx context.Context, hash string, at time.Time) error {
	return v.in.SetSecret(ctx, v.who.user.Name, hash, v.who.session, func(u *faultline.User) { u.PasswordAt = at })
}

// PutInvite is for admins.
func (v *view) PutInvite(ctx context.Context, key, user string, until time.Time) error {
	if err := v.self(""); err != nil {
		return err
	}
	return v.in.PutInvite(ctx, key, user, until)
}

// Sessions of a user.
func (v *view) Sessions(ctx context.Context, user string) ([]faultline.Session, error) {
	if err := v.self(user); err != nil {
		return nil, err
	}
	return v.in.Sessions(ctx, user)
}

// EndSessions ends all sessions of a user but the caller's own.
func (v *view) EndSessions(ctx context.Context, user string) error {
	if err := v.self(user); err != nil {
		return err
	}
	return v.in.EndSessions(ctx, user, v.who.session)
}

// Tokens of a user; "" is of all, for admins.
func (v *view) Tokens(ctx context.Context, user string) ([]faultline.Token, error) {
	if err := v.self(user); err != nil {
		return nil, err
	}
	return v.in.Tokens(ctx, user)
}

// AddToken adds one of the caller's own.
func (v *view) AddToken(ctx context.Context, key string, t faultline.Token) error {
	if t.User != v.who.user.Name {
		return forbidden("a token is made by the user that it acts for")
	}
	return v.in.AddToken(ctx, key, t)
}

// RevokeToken ends a token: an own one, or for admins anybody's. What is another's is not found.
func (v *view) RevokeToken(ctx context.Context, id string) (faultline.Token, error) {
	whose := v.who.user.Name
	if v.who.role == faultline.RoleAdmin {
		whose = ""
	}
	tokens, err := v.Tokens(ctx, whose)
	if err != nil {
		return faultline.Token{}, err
	}
	i := slices.IndexFunc(tokens, func(t faultline.Token) bool { return t.ID == id })
	if i < 0 {
		return faultline.Token{}, hidden("token", quoteShort(id))
	}
	return tokens[i], v.in.RevokeToken(ctx, tokens[i].User, id)
}

// PutTeam is for admins.
func (v *view) PutTeam(ctx context.Context, t faultline.Team) (faultline.Team, error) {
	if err := v.self(""); err != nil {
		return t, err
	}
	return v.in.PutTeam(ctx, t)
}

// AuditHead is the last entry.
func (v *view) AuditHead(ctx context.Context) (faultline.AuditHead, error) {
	return v.in.AuditHead(ctx)
}

// Assignees are who work at a site may be given to: teams that serve it, and users who work and see it; without a site, those
// of any. guarded tells whether there are users at all.
func (v *view) Assignees(ctx context.Context, site string) (names []string, guarded bool, err error) {
	users, err := v.in.Users(ctx)
	if err != nil || len(users) == 0 {
		return nil, false, err
	}
	teams, err := v.Teams(ctx)
	serves := func(sites []string) bool { return site == "" || len(sites) == 0 || slices.Contains(sites, site) }
	for i := range teams {
		if serves(teams[i].Sites) {
			names = append(names, teams[i].ID)
		}
	}
	for i := range users {
		if u := &users[i]; !u.Disabled && operator.heldBy(u.Role) && serves(u.Sites) {
			names = append(names, u.Name)
		}
	}
	return names, true, err
}
