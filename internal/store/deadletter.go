package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// KeptOfGroup is how many dead letters of one group are kept; the older ones are only counted.
const KeptOfGroup = 100

// maxSeries bounds the part of a line that tells which series it is of.
const maxSeries = 200

// AddDeadLetter keeps one dead letter, as AddDeadLetters does.
func (t *Tx) AddDeadLetter(d faultline.DeadLetter) error {
	return t.AddDeadLetters([]faultline.DeadLetter{d})
}

// AddDeadLetters keeps lines that could not be written; their IDs and groups are given here. The same
// line of the same frame is kept, and counted, once. Of each group the newest KeptOfGroup are kept.
func (t *Tx) AddDeadLetters(ds []faultline.DeadLetter) error {
	touched := map[string]bool{}
	for i := range ds {
		d := &ds[i]
		series, id := groupOf(d)
		n, err := t.c.exec(t.ctx, `INSERT INTO dead_letter (at, site, gateway, epoch, sequence, digest, line, reason, grp)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			nanos(d.At), d.Site, d.Gateway, d.Epoch, int64(d.Sequence), digest(d.Line), []byte(d.Line), []byte(d.Reason), id)
		if err == nil && n == 1 {
			touched[id] = true
			_, err = t.c.exec(t.ctx, `INSERT INTO dead_group (id, site, gateway, series, reason, count, first_at, last_at) VALUES (?, ?, ?, ?, ?, 1, ?, ?)
				ON CONFLICT (id) DO UPDATE SET count = dead_group.count + 1, last_at = excluded.last_at, reason = excluded.reason`,
				id, d.Site, d.Gateway, []byte(series), []byte(d.Reason), nanos(d.At), nanos(d.At))
		}
		if err != nil {
			return fmt.Errorf("add dead letter of %s, epoch %s, sequence %d: %w", d.Gateway, d.Epoch, d.Sequence, err)
		}
	}
	for id := range touched {
		if _, err := t.c.exec(t.ctx, `DELETE FROM dead_letter WHERE grp = ? AND id <= (SELECT id FROM dead_letter WHERE grp = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`, id, id, KeptOfGroup); err != nil {
			return fmt.Errorf("bound dead letters of group %s: %w", id, err)
		}
	}
	return nil
}

// groupOf names the series of a line and the group that its letter belongs to.
func groupOf(d *faultline.DeadLetter) (series, id string) {
	series = d.Line
	for i := 0; i < len(series); i++ {
		if c := series[i]; c == ' ' && (i == 0 || series[i-1] != '\\') {
			series = series[:i]
			break
		}
	}
	series = series[:min(len(series), maxSeries)]
	return series, digest(d.Site, d.Gateway, series, sameReason(d.Reason))
}

// sameReason leaves out what differs between two refusals of one kind: numbers and what is quoted.
func sameReason(s string) string {
	var b strings.Builder
	quoted, digits := false, false
	for i := 0; i < len(s) && b.Len() < 200; i++ {
		c := s[i]
		isDigit := c >= '0' && c <= '9'
		switch {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case isDigit && !digits:
			b.WriteByte('#')
		case !isDigit:
			b.WriteByte(c)
		}
		digits = isDigit
	}
	return b.String()
}

// DeadLetters lists dead letters, the newest first, and counts them all. limit 0 means all.
func (s *Store) DeadLetters(ctx context.Context, limit, offset int) (letters []faultline.DeadLetter, total int, err error) {
	return s.FindDeadLetters(ctx, DeadLetterFilter{Limit: limit, Offset: offset})
}

// DeadLetterFilter selects dead letters; its zero value selects all.
type DeadLetterFilter struct {
	IDs           []int64
	Group         string
	Site, Gateway string
	Epoch         string
	Sequence      uint64 // 0: any
	Sites         []string
	Limit, Offset int // limit 0 means all
}

// FindDeadLetters lists dead letters, the newest first, and counts all that the filter selects.
func (s *Store) FindDeadLetters(ctx context.Context, f DeadLetterFilter) (letters []faultline.DeadLetter, total int, err error) {
	letters = []faultline.DeadLetter{}
	var w where
	if len(f.IDs) > 0 {
		args := make([]any, len(f.IDs))
		for i, id := range f.IDs {
			args[i] = id
		}
		w.add("id IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
	}
	for _, p := range [...][2]string{{"grp", f.Group}, {"site", f.Site}, {"gateway", f.Gateway}, {"epoch", f.Epoch}} {
		if p[1] != "" {
			w.add(p[0]+" = ?", p[1])
		}
	}
	if f.Sequence > 0 {
		w.add("sequence = ?", int64(f.Sequence))
	}
	in(&w, "site", f.Sites)
	c := s.reader()
	if err := c.row(ctx, `SELECT count(*) FROM dead_letter`+w.String(), w.args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("dead letters: %w", err)
	}
	query, args := page(`SELECT id, at, site, gateway, epoch, sequence, line, reason, grp FROM dead_letter`+w.String()+` ORDER BY id DESC`, w.args, f.Limit, f.Offset)
	err = c.each(ctx, func(rows *sql.Rows) error {
		var d faultline.DeadLetter
		var at, sequence int64
		var line, reason []byte
		err := rows.Scan(&d.ID, &at, &d.Site, &d.Gateway, &d.Epoch, &sequence, &line, &reason, &d.Group)
		d.At, d.Sequence, d.Line, d.Reason = moment(at), uint64(sequence), string(line), string(reason)
		letters = append(letters, d)
		return err
	}, query, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("dead letters: %w", err)
	}
	return letters, total, nil
}

// DeadGroups lists groups of dead letters of these sites, none meaning all, the newest first, at most
// limit; and how many letters, of all sites, were dropped by limits of number and age since the store was made.
func (s *Store) DeadGroups(ctx context.Context, limit int, sites ...string) (groups []faultline.DeadGroup, dropped int64, err error) {
	groups = []faultline.DeadGroup{}
	var w where
	in(&w, "site", sites)
	c := s.reader()
	err = c.each(ctx, func(rows *sql.Rows) error {
		var g faultline.DeadGroup
		var first, last int64
		var series, reason []byte
		err := rows.Scan(&g.ID, &g.Site, &g.Gateway, &series, &reason, &g.Count, &first, &last, &g.Kept)
		g.Series, g.Reason, g.FirstAt, g.LastAt = string(series), string(reason), moment(first), moment(last)
		groups = append(groups, g)
		return err
	}, `SELECT id, site, gateway, series, reason, count, first_at, last_at, (SELECT count(*) FROM dead_letter WHERE grp = dead_group.id)
		FROM dead_group`+w.String()+` ORDER BY last_at DESC, id LIMIT ?`, append(w.args, limit)...)
	if err == nil {
		err = c.row(ctx, `SELECT value FROM counter WHERE name = 'dead_dropped'`).Scan(&dropped)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("groups of dead letters: %w", err)
	}
	return groups, dropped, nil
}

// ForgetDeadLetters removes letters: they were replayed, or nobody wants them. Groups without letters
// go too.
func (s *Store) ForgetDeadLetters(ctx context.Context, ids ...int64) (n int64, err error) {
	err = s.update(ctx, "forget dead letters", func(c conn) error {
		n = 0
		for _, id := range ids {
			gone, err := c.exec(ctx, `DELETE FROM dead_letter WHERE id = ?`, id)
			if err != nil {
				return fmt.Errorf("forget dead letter %d: %w", id, err)
			}
			n += gone
		}
		c.changed(fmt.Sprintf("%d dead letters", n), map[string]any{"letters": ids}, nil)
		return c.emptyGroups(ctx)
	})
	return n, err
}

func (c conn) emptyGroups(ctx context.Context) error {
	if _, err := c.exec(ctx, `DELETE FROM dead_group WHERE NOT EXISTS (SELECT 1 FROM dead_letter WHERE grp = dead_group.id)`); err != nil {
		return fmt.Errorf("forget groups of dead letters: %w", err)
	}
	return nil
}

// SweepDeadLetters drops letters that are older than before, and the oldest ones beyond most; what it
// drops is counted for ever (see DeadGroups).
func (s *Store) SweepDeadLetters(ctx context.Context, before time.Time, most int) (dropped int64, err error) {
	err = s.update(ctx, "sweep dead letters", func(c conn) error {
		dropped = 0
		for _, q := range []struct {
			text string
			args []any
		}{
			{`DELETE FROM dead_letter WHERE at < ?`, []any{nanos(before)}},
			{`DELETE FROM dead_letter WHERE id <= (SELECT id FROM dead_letter ORDER BY id DESC LIMIT 1 OFFSET ?)`, []any{most}},
		} {
			n, err := c.exec(ctx, q.text, q.args...)
			if err != nil {
				return fmt.Errorf("sweep dead letters: %w", err)
			}
			dropped += n
		}
		if dropped == 0 {
			return nil
		}
		if _, err := c.exec(ctx, `UPDATE counter SET value = value + ? WHERE name = 'dead_dropped'`, dropped); err != nil {
			return fmt.Errorf("sweep dead letters: %w", err)
		}
		return c.emptyGroups(ctx)
	})
	return dropped, err
}
