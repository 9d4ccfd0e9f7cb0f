package store

import (
	"context"
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
