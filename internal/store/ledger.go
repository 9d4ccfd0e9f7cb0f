package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/faultline-iot/faultline"
)

// Ledger gives the account of a gateway's epoch; false if there is none yet.
func (t *Tx) Ledger(gateway, epoch string) (faultline.LedgerRow, bool, error) {
	row, found, err := one[faultline.LedgerRow](t.ctx, t.c, `SELECT doc FROM ledger WHERE gateway = ? AND epoch = ?`, gateway, epoch)
	if err != nil {
		return row, false, fmt.Errorf("ledger of %s, epoch %s: %w", gateway, epoch, err)
	}
	return row, found, nil
}

// PutLedger adds or replaces the account of a gateway's epoch.
func (t *Tx) PutLedger(row faultline.LedgerRow) error {
	if err := identity("ledger row", "gateway", row.Gateway, "epoch", row.Epoch); err != nil {
		return err
	}
	doc, err := encode(row)
	if err == nil {
		_, err = t.c.exec(t.ctx, `INSERT INTO ledger (gateway, epoch, site, doc) VALUES (?, ?, ?, ?)
			ON CONFLICT (gateway, epoch) DO UPDATE SET site = excluded.site, doc = excluded.doc`, row.Gateway, row.Epoch, row.Site, doc)
	}
	if err != nil {
		return fmt.Errorf("put ledger of %s, epoch %s: %w", row.Gateway, row.Epoch, err)
	}
	return nil
}

// LedgerRows lists all accounts by site, gateway and beginning.
func (s *Store) LedgerRows(ctx context.Context) ([]faultline.LedgerRow, error) {
	return all(ctx, s, "ledger", func(r *faultline.LedgerRow) string {
		return r.Site + "\x00" + r.Gateway + "\x00" + r.FirstAt.Format("20060102150405.000000000") + r.Epoch
	}, `SELECT doc FROM ledger`)
}

// AddDeadLetter keeps a line that could not be written; its ID is given here. The same line of the
// same frame is kept once.
func (t *Tx) AddDeadLetter(d faultline.DeadLetter) error {
	if _, err := t.c.exec(t.ctx, `INSERT INTO dead_letter (at, site, gateway, epoch, sequence, digest, line, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		nanos(d.At), d.Site, d.Gateway, d.Epoch, int64(d.Sequence), digest(d.Line), []byte(d.Line), []byte(d.Reason)); err != nil {
		return fmt.Errorf("add dead letter of %s, epoch %s, sequence %d: %w", d.Gateway, d.Epoch, d.Sequence, err)
	}
	return nil
}

// DeadLetters lists dead letters, the newest first, and counts them all. limit 0 means all.
func (s *Store) DeadLetters(ctx context.Context, limit, offset int) (letters []faultline.DeadLetter, total int, err error) {
	letters = []faultline.DeadLetter{}
	c := s.reader()
	if err := c.row(ctx, `SELECT count(*) FROM dead_letter`).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("dead letters: %w", err)
	}
	query, args := page(`SELECT id, at, site, gateway, epoch, sequence, line, reason FROM dead_letter ORDER BY id DESC`, nil, limit, offset)
	err = c.each(ctx, func(rows *sql.Rows) error {
		var d faultline.DeadLetter
		var at, sequence int64
		var line, reason []byte
		err := rows.Scan(&d.ID, &at, &d.Site, &d.Gateway, &d.Epoch, &sequence, &line, &reason)
		d.At, d.Sequence, d.Line, d.Reason = moment(at), uint64(sequence), string(line), string(reason)
		letters = append(letters, d)
		return err
	}, query, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("dead letters: %w", err)
	}
	return letters, total, nil
}
