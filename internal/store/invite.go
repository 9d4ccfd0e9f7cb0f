package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// PutInvite lets whoever holds the secret of key set a user's password, once and before until. It takes the place
// of the user's earlier one. The password that there is stays good.
func (s *Store) PutInvite(ctx context.Context, key, user string, until time.Time) error {
	if err := identity("invite", "key", key, "user", user); err != nil {
		return err
	}
	return s.update(ctx, "make a link for a password", func(c conn) error {
		if _, err := c.user(ctx, user, c.d.lockRow); err != nil {
			return err
		}
		if _, err := c.exec(ctx, `INSERT INTO invite (account, key, until) VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE SET key = excluded.key, until = excluded.until`, user, key, nanos(until)); err != nil {
			return fmt.Errorf("invite %s: %w", user, err)
		}
		c.changed("user "+user, nil, map[string]time.Time{"link_until": until.UTC()})
		return nil
	})
}

// InviteUser gives the user of an invitation and until when it is good, also one that is over or whose user is
// disabled: the caller judges. faultline.ErrNotFound if there is none.
func (s *Store) InviteUser(ctx context.Context, key string) (u faultline.User, until time.Time, err error) {
	return s.reader().invite(ctx, key)
}

func (c conn) invite(ctx context.Context, key string) (u faultline.User, until time.Time, err error) {
	var doc string
	var ns int64
	err = c.row(ctx, `SELECT a.doc, i.until FROM invite i JOIN account a ON a.name = i.account WHERE i.key = ?`, key).Scan(&doc, &ns)
	if errors.Is(err, sql.ErrNoRows) {
		err = faultline.ErrNotFound
	}
	if err == nil {
		u, err = decode[faultline.User](doc)
	}
	if err != nil {
		return u, until, fmt.Errorf("invite: %w", err)
	}
	return u, moment(ns), nil
}

// AcceptInvite uses an invitation up: it sets the hash of its user's password and ends all sessions of the user.
// faultline.ErrNotFound if it was used, is over at now, or its user is disabled.
func (s *Store) AcceptInvite(ctx context.Context, key, secret string, now time.Time) (u faultline.User, err error) {
	err = s.update(ctx, "set password by a link", func(c conn) error {
		var until time.Time
		if u, until, err = c.invite(ctx, key); err != nil {
			return err
		}
		if !now.Before(until) || u.Disabled {
			return fmt.Errorf("invite of %s: %w", u.Name, faultline.ErrNotFound)
		}
		n, err := c.exec(ctx, `DELETE FROM invite WHERE key = ?`, key) // who comes second finds none
		if err != nil || n != 1 {
			return fmt.Errorf("invite of %s: %w", u.Name, errors.Join(err, faultline.ErrNotFound))
		}
		u, err = c.setSecret(ctx, u.Name, secret, "", func(u *faultline.User) { u.PasswordAt = now.UTC() })
		return err
	})
	return u, err
}
