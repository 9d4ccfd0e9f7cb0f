package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

// Sessions and tokens are found by a key: the hash of a secret that only the browser or program holds.
// Nothing in the store opens anything.

// AddSession adds a session under the hash of its secret.
func (s *Store) AddSession(ctx context.Context, key string, v faultline.Session) error {
	if err := identity("session", "key", key, "id", v.ID, "user", v.User); err != nil {
		return err
	}
	return s.put(ctx, "add session", v, `INSERT INTO session (key, id, account, seen, until, doc) VALUES (?, ?, ?, ?, ?, ?)`,
		key, v.ID, v.User, nanos(v.SeenAt), nanos(v.Until))
}

// SessionUser gives the session under a key with its user, also one that has ended or whose user is
// disabled: the caller judges. faultline.ErrNotFound if there is none.
func (s *Store) SessionUser(ctx context.Context, key string) (v faultline.Session, u faultline.User, err error) {
	err = s.reader().keyed(ctx, `SELECT k.doc, k.seen, a.doc FROM session k JOIN account a ON a.name = k.account WHERE k.key = ?`, key, &v, &v.SeenAt, &u)
	if err != nil {
		return v, u, fmt.Errorf("session: %w", err)
	}
	return v, u, nil
}

// keyed reads what lies under a key: its document, a time of its own, and its user.
func (c conn) keyed(ctx context.Context, query, key string, v any, at *time.Time, u *faultline.User) error {
	var doc, user string
	var ns int64
	if err := c.row(ctx, query, key).Scan(&doc, &ns, &user); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return faultline.ErrNotFound
		}
		return err
	}
	var err error
	switch v := v.(type) {
	case *faultline.Session:
		*v, err = decode[faultline.Session](doc)
	case *faultline.Token:
		*v, err = decode[faultline.Token](doc)
	}
	if err != nil {
		return err
	}
	*at = moment(ns)
	*u, err = decode[faultline.User](user)
	return err
}

// SeeSession notes that a session was used.
func (s *Store) SeeSession(ctx context.Context, key string, at time.Time) error {
	return s.update(ctx, "see session", func(c conn) error {
		if _, err := c.exec(ctx, `UPDATE session SET seen = ? WHERE key = ? AND seen < ?`, nanos(at), key, nanos(at)); err != nil {
			return fmt.Errorf("see session: %w", err)
		}
		return nil
	})
}

// EndSession ends the session under a key, if there is one.
func (s *Store) EndSession(ctx context.Context, key string) error {
	return s.update(ctx, "end session", func(c conn) error {
		if _, err := c.exec(ctx, `DELETE FROM session WHERE key = ?`, key); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		return nil
	})
}

func (c conn) endSessions(ctx context.Context, user, exceptKey string) error {
	if _, err := c.exec(ctx, `DELETE FROM session WHERE account = ? AND key <> ?`, user, exceptKey); err != nil {
		return fmt.Errorf("end sessions of %s: %w", user, err)
	}
	return nil
}

// EndSessions ends all sessions of a user but the one with this key; "" ends all.
func (s *Store) EndSessions(ctx context.Context, user, exceptKey string) error {
	return s.update(ctx, "end sessions", func(c conn) error {
		c.changed("user "+user, nil, nil)
		return c.endSessions(ctx, user, exceptKey)
	})
}

// Sessions lists a user's sessions, the one used last first.
func (s *Store) Sessions(ctx context.Context, user string) ([]faultline.Session, error) {
	sessions := []faultline.Session{}
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		var doc string
		var seen int64
		if err := rows.Scan(&doc, &seen); err != nil {
			return err
		}
		v, err := decode[faultline.Session](doc)
		v.SeenAt = moment(seen)
		sessions = append(sessions, v)
		return err
	}, `SELECT doc, seen FROM session WHERE account = ? ORDER BY seen DESC, id`, user)
	if err != nil {
		return nil, fmt.Errorf("sessions of %s: %w", user, err)
	}
	return sessions, nil
}

// DropSessions removes sessions that ended before now or were not used since idle.
func (s *Store) DropSessions(ctx context.Context, now, idle time.Time) (dropped int, err error) {
	err = s.update(ctx, "drop sessions", func(c conn) error {
		n, err := c.exec(ctx, `DELETE FROM session WHERE until <= ? OR seen <= ?`, nanos(now), nanos(idle))
		if err != nil {
			return fmt.Errorf("drop sessions: %w", err)
		}
		dropped = int(n)
		return nil
	})
	return dropped, err
}

// maxTokens of one user.
const maxTokens = 50

// AddToken adds a token under the hash of its secret.
func (s *Store) AddToken(ctx context.Context, key string, v faultline.Token) error {
	if err := identity("token", "key", key, "id", v.ID, "user", v.User, "name", v.Name); err != nil {
		return err
	}
	doc, err := encode(v)
	if err != nil {
		return err
	}
	return s.update(ctx, "add token", func(c conn) error {
		var n int64
		if err := c.row(ctx, `SELECT count(*) FROM token WHERE account = ?`, v.User).Scan(&n); err != nil {
			return fmt.Errorf("add token: %w", err)
		}
		if n >= maxTokens {
			return fmt.Errorf("%w: %s has %d tokens already: revoke those that are not used", faultline.ErrRefused, v.User, n)
		}
		if _, err := c.exec(ctx, `INSERT INTO token (key, id, account, used, expires, doc) VALUES (?, ?, ?, 0, ?, ?)`,
			key, v.ID, v.User, nanos(v.ExpiresAt), doc); err != nil {
			return fmt.Errorf("add token %s of %s: %w", v.Name, v.User, err)
		}
		c.changed("token "+v.ID+" of "+v.User, nil, v)
		return nil
	})
}

// TokenUser gives the token under a key with its user, also one that has expired or whose user is
// disabled: the caller judges. faultline.ErrNotFound if there is none.
func (s *Store) TokenUser(ctx context.Context, key string) (v faultline.Token, u faultline.User, err error) {
	err = s.reader().keyed(ctx, `SELECT k.doc, k.used, a.doc FROM token k JOIN account a ON a.name = k.account WHERE k.key = ?`, key, &v, &v.LastUsedAt, &u)
	if err != nil {
		return v, u, fmt.Errorf("token: %w", err)
	}
	return v, u, nil
}

// UseToken notes that a token was used.
func (s *Store) UseToken(ctx context.Context, key string, at time.Time) error {
	return s.update(ctx, "use token", func(c conn) error {
		if _, err := c.exec(ctx, `UPDATE token SET used = ? WHERE key = ? AND used < ?`, nanos(at), key, nanos(at)); err != nil {
			return fmt.Errorf("use token: %w", err)
		}
		return nil
	})
}

// Tokens lists a user's tokens, or ("") all, those that expire first first.
func (s *Store) Tokens(ctx context.Context, user string) ([]faultline.Token, error) {
	var w where
	if user != "" {
		w.add("account = ?", user)
	}
	tokens := []faultline.Token{}
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		var doc string
		var used int64
		if err := rows.Scan(&doc, &used); err != nil {
			return err
		}
		v, err := decode[faultline.Token](doc)
		v.LastUsedAt = moment(used)
		tokens = append(tokens, v)
		return err
	}, `SELECT doc, used FROM token`+w.String()+` ORDER BY expires, id`, w.args...)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return tokens, nil
}

// RevokeToken ends a token of a user; faultline.ErrNotFound if the user has none of this id.
func (s *Store) RevokeToken(ctx context.Context, user, id string) error {
	return s.update(ctx, "revoke token", func(c conn) error {
		n, err := c.exec(ctx, `DELETE FROM token WHERE account = ? AND id = ?`, user, id)
		if err == nil && n == 0 {
			err = faultline.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("revoke token %s of %s: %w", id, user, err)
		}
		c.changed("token "+id+" of "+user, nil, nil)
		return nil
	})
}
