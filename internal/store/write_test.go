package store

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testWrites(t *testing.T, s *Store) {
	ctx := t.Context()
	w := filled[faultline.Write]()
	w.Value, w.Old, w.ReadBack, w.Status = json.RawMessage("7.5"), json.RawMessage("true"), nil, faultline.WritePending
	must(t, s.AddWrite(ctx, w, "asked for"))
	wantErr(t, s.AddWrite(ctx, w, "again"), faultline.ErrConflict)
	got, err := s.Write(ctx, w.ID)
	must(t, err)
	equal(t, "write", got, w)
	_, err = s.Write(ctx, "none")
	wantErr(t, err, faultline.ErrNotFound, "none")
	wantErr(t, s.AddWrite(ctx, faultline.Write{ID: "x"}, ""), faultline.ErrInvalid)

	// What change refuses leaves nothing, unless it says otherwise.
	no := errors.New("no")
	for _, commit := range []bool{false, true} {
		_, err = s.ChangeWrite(ctx, w.ID, func(w *faultline.Write) (faultline.WriteEvent, bool, error) {
			w.Status, w.Message = faultline.WriteExpired, "late"
			return faultline.WriteEvent{At: t0, By: "time", Text: "late"}, commit, no
		})
		wantErr(t, err, no)
		got, err = s.Write(ctx, w.ID)
		must(t, err)
		equal(t, "expired", got.Status == faultline.WriteExpired, commit)
	}
	_, err = s.ChangeWrite(ctx, "none", func(*faultline.Write) (faultline.WriteEvent, bool, error) {
		return faultline.WriteEvent{}, true, nil
	})
	wantErr(t, err, faultline.ErrNotFound)
	events, err := s.WriteEvents(ctx, w.ID)
	must(t, err)
	equal(t, "history", events, []faultline.WriteEvent{
		{Write: w.ID, At: w.AskedAt, By: w.AskedBy, Status: faultline.WritePending, Text: "asked for"},
		{Write: w.ID, At: t0, By: "time", Status: faultline.WriteExpired, Text: "late"},
	})

	for i, id := range []string{"a", "b", "c"} {
		o := w
		o.ID, o.Site, o.Position, o.AskedAt, o.Status = id, "plant", "P-1", t0.Add(time.Duration(i)*time.Minute), faultline.WriteWritten
		if id == "a" {
			o.Status = faultline.WriteSending
		}
		must(t, s.AddWrite(ctx, o, ""))
	}
	for _, c := range []struct {
		f     WriteFilter
		total int
		ids   string
	}{
		{WriteFilter{Site: "plant"}, 3, "acb"},
		{WriteFilter{Site: "plant", Position: "P-1", Limit: 1, Offset: 1}, 3, "c"},
		{WriteFilter{OnlyOpen: true}, 1, "a"},
		{WriteFilter{Site: "nowhere"}, 0, ""},
	} {
		list, total, err := s.Writes(ctx, c.f)
		must(t, err)
		ids := ""
		for _, w := range list {
			ids += w.ID
		}
		equal(t, "ids", ids, c.ids)
		equal(t, "total", total, c.total)
	}
	for _, sql := range []string{`UPDATE write_event SET doc = ''`, `DELETE FROM write_event`, `DELETE FROM write_order`} {
		if _, err := s.write.ExecContext(ctx, sql); err == nil {
			t.Errorf("%s went through", sql)
		}
	}
}
