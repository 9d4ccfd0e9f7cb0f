package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/faultline-iot/faultline"
)

// AddUser adds a user with a hash of a password, "" for none yet; faultline.ErrConflict if the name is taken,
// also by one who is disabled.
func (s *Store) AddUser(ctx context.Context, u faultline.User, secret string) (faultline.User, error) {
	if err := u.Check(); err != nil {
		return u, err
	}
	u.Version = 1
	doc, err := encode(u)
	if err != nil {
		return u, err
	}
	return u, s.update(ctx, "add user", func(c conn) error {
		_, err := c.exec(ctx, `INSERT INTO account (name, secret, doc) VALUES (?, ?, ?)`, u.Name, secret, doc)
		switch {
		case err != nil && c.d.unique(err):
			return fmt.Errorf("%w: there is a user %s already", faultline.ErrConflict, u.Name)
		case err != nil:
			return fmt.Errorf("add user %s: %w", u.Name, err)
		}
		c.changed("user "+u.Name, nil, u)
		return nil
	})
}

// Users lists all users by name.
func (s *Store) Users(ctx context.Context) ([]faultline.User, error) {
	return all(ctx, s, "users", func(u *faultline.User) string { return u.Name }, `SELECT doc FROM account`)
}

// HasUsers tells whether there is any user, disabled ones too.
func (s *Store) HasUsers(ctx context.Context) (bool, error) {
	var n int64
	if err := s.reader().row(ctx, `SELECT count(*) FROM (SELECT name FROM account LIMIT 1) AS found`).Scan(&n); err != nil {
		return false, fmt.Errorf("users: %w", err)
	}
	return n > 0, nil
}

// HasAdmin tells whether there is an admin who is not disabled.
func (s *Store) HasAdmin(ctx context.Context) (bool, error) {
	users, err := s.Users(ctx)
	return slices.ContainsFunc(users, func(u faultline.User) bool { return u.Role == faultline.RoleAdmin && !u.Disabled }), err
}

func (c conn) user(ctx context.Context, name, lock string) (faultline.User, error) {
	u, found, err := one[faultline.User](ctx, c, `SELECT doc FROM account WHERE name = ?`+lock, name)
	if err == nil && !found {
		err = faultline.ErrNotFound
	}
	if err != nil {
		return u, fmt.Errorf("user %s: %w", name, err)
	}
	return u, nil
}

// User gives one user, or faultline.ErrNotFound.
func (s *Store) User(ctx context.Context, name string) (faultline.User, error) {
	return s.reader().user(ctx, name, "")
}

// UserSecret gives a user with the hash of the password, "" for none; or faultline.ErrNotFound.
func (s *Store) UserSecret(ctx context.Context, name string) (u faultline.User, secret string, err error) {
	c := s.reader()
	if u, err = c.user(ctx, name, ""); err != nil {
		return u, "", err
	}
	if err := c.row(ctx, `SELECT secret FROM account WHERE name = ?`, name).Scan(&secret); err != nil {
		return u, "", fmt.Errorf("user %s: %w", name, err)
	}
	return u, secret, nil
}

// ErrLastAdmin refuses what would leave nobody who may give rights.
var ErrLastAdmin = errors.New("this is the last admin who is not disabled: make another user an admin first")

// ChangeUser changes a user in one transaction. expectVersion is the version that was seen, 0 for any;
// faultline.ErrConflict if somebody was faster. Name and Version are not change's to alter. One who is
// disabled is logged out in the same transaction; the last admin stays one (ErrLastAdmin).
func (s *Store) ChangeUser(ctx context.Context, name string, expectVersion int, change func(*faultline.User) error) (u faultline.User, err error) {
	err = s.update(ctx, "change user", func(c conn) error {
		admins, err := c.admins(ctx) // locks them, in one order
		if err != nil {
			return err
		}
		if u, err = c.user(ctx, name, c.d.lockRow); err != nil {
			return err
		}
		if expectVersion != 0 && u.Version != expectVersion {
			return fmt.Errorf("%w: user %s was changed meanwhile: look again", faultline.ErrConflict, name)
		}
		before := copyOf(&u)
		version := u.Version
		if err := change(&u); err != nil {
			return err
		}
		u.Name, u.Version = name, version+1
		if err := u.Check(); err != nil {
			return err
		}
		if (u.Role != faultline.RoleAdmin || u.Disabled) && slices.Equal(admins, []string{name}) {
			return fmt.Errorf("%w: %w", faultline.ErrRefused, ErrLastAdmin)
		}
		if err := c.saveUser(ctx, &u); err != nil {
			return err
		}
		if u.Disabled {
			if err := c.endSessions(ctx, name, ""); err != nil {
				return err
			}
		}
		c.changed("user "+name, before, u)
		return nil
	})
	return u, err
}

// admins who are not disabled, locked until the transaction ends so that two of them cannot both be the last but one.
func (c conn) admins(ctx context.Context) (names []string, err error) {
	users, err := list[faultline.User](ctx, c, `SELECT doc FROM account ORDER BY name`+c.d.lockRow)
	if err != nil {
		return nil, fmt.Errorf("admins: %w", err)
	}
	for i := range users {
		if u := &users[i]; u.Role == faultline.RoleAdmin && !u.Disabled {
			names = append(names, u.Name)
		}
	}
	return names, nil
}

func (c conn) saveUser(ctx context.Context, u *faultline.User) error {
	doc, err := encode(u)
	if err == nil {
		_, err = c.exec(ctx, `UPDATE account SET doc = ? WHERE name = ?`, doc, u.Name)
	}
	if err != nil {
		return fmt.Errorf("change user %s: %w", u.Name, err)
	}
	return nil
}

// SetSecret sets the hash of a user's password and ends all sessions but the one with this key ("" ends
// all). Tokens stay: they were given separately and are revoked separately. The time is when it was set.
func (s *Store) SetSecret(ctx context.Context, name, secret, exceptKey string, change func(*faultline.User)) error {
	return s.update(ctx, "set password", func(c conn) error {
		_, err := c.setSecret(ctx, name, secret, exceptKey, change)
		return err
	})
}

// setSecret also ends an invitation to set one.
func (c conn) setSecret(ctx context.Context, name, secret, exceptKey string, change func(*faultline.User)) (faultline.User, error) {
	u, err := c.user(ctx, name, c.d.lockRow)
	if err != nil {
		return u, err
	}
	before := copyOf(&u)
	change(&u)
	u.Name, u.Version = name, before.Version+1
	if err := c.saveUser(ctx, &u); err != nil {
		return u, err
	}
	if _, err := c.exec(ctx, `UPDATE account SET secret = ? WHERE name = ?`, secret, name); err != nil {
		return u, fmt.Errorf("set password of %s: %w", name, err)
	}
	if _, err := c.exec(ctx, `DELETE FROM invite WHERE account = ?`, name); err != nil {
		return u, fmt.Errorf("end the link of %s: %w", name, err)
	}
	if err := c.endSessions(ctx, name, exceptKey); err != nil {
		return u, err
	}
	c.changed("user "+name, before, u)
	return u, nil
}

// PutTeam adds a team (Version 0) or changes one whose version was seen; faultline.ErrConflict if somebody was faster.
// Its members must be users.
func (s *Store) PutTeam(ctx context.Context, t faultline.Team) (faultline.Team, error) {
	if err := t.Check(); err != nil {
		return t, err
	}
	err := s.update(ctx, "put team", func(c conn) error {
		for _, m := range t.Members {
			if _, err := c.user(ctx, m, ""); err != nil {
				return fmt.Errorf("%w: team %s: member %s is no user", faultline.ErrInvalid, t.ID, m)
			}
		}
		was, found, err := one[faultline.Team](ctx, c, `SELECT doc FROM team WHERE id = ?`+c.d.lockRow, t.ID)
		if err != nil {
			return fmt.Errorf("put team %s: %w", t.ID, err)
		}
		var before any
		if found {
			before = was
		}
		if was.Version != t.Version {
			return fmt.Errorf("%w: team %s exists or was changed meanwhile: look again", faultline.ErrConflict, t.ID)
		}
		t.Version++
		doc, err := encode(t)
		if err == nil {
			_, err = c.exec(ctx, `INSERT INTO team (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, t.ID, doc)
		}
		if err != nil {
			return fmt.Errorf("put team %s: %w", t.ID, err)
		}
		c.changed("team "+t.ID, before, t)
		return nil
	})
	return t, err
}

// RemoveTeam removes a team, or fails with faultline.ErrNotFound. Tickets keep its id.
func (s *Store) RemoveTeam(ctx context.Context, id string) error {
	return s.update(ctx, "remove team", func(c conn) error {
		was, found, err := one[faultline.Team](ctx, c, `SELECT doc FROM team WHERE id = ?`+c.d.lockRow, id)
		if err == nil && !found {
			err = faultline.ErrNotFound
		}
		if err == nil {
			_, err = c.exec(ctx, `DELETE FROM team WHERE id = ?`, id)
		}
		if err != nil {
			return fmt.Errorf("remove team %s: %w", id, err)
		}
		c.changed("team "+id, was, nil)
		return nil
	})
}

// Teams lists all teams by id.
func (s *Store) Teams(ctx context.Context) ([]faultline.Team, error) {
	return all(ctx, s, "teams", func(t *faultline.Team) string { return t.ID }, `SELECT doc FROM team`)
}
