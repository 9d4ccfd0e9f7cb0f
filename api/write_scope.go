package api

import (
	"context"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// AddWrite of a point in scope.
func (v *view) AddWrite(ctx context.Context, w faultline.Write, text string) error {
	if !v.who.has(w.Site) {
		return hidden("site", w.Site)
	}
	return v.in.AddWrite(ctx, w, text)
}

// ChangeWrite of a point in scope.
func (v *view) ChangeWrite(ctx context.Context, id string, change func(*faultline.Write) (faultline.WriteEvent, bool, error)) (faultline.Write, error) {
	if _, err := v.Write(ctx, id); err != nil {
		return faultline.Write{}, err
	}
	return v.in.ChangeWrite(ctx, id, change)
}

// Write of a point in scope.
func (v *view) Write(ctx context.Context, id string) (faultline.Write, error) {
	w, err := v.in.Write(ctx, id)
	if err == nil && !v.who.has(w.Site) {
		return faultline.Write{}, hidden("write", id)
	}
	return w, err
}

// Writes of points in scope.
func (v *view) Writes(ctx context.Context, f store.WriteFilter) ([]faultline.Write, int, error) {
	f.Sites = v.who.sites
	return v.in.Writes(ctx, f)
}

// WriteEvents of a point in scope.
func (v *view) WriteEvents(ctx context.Context, id string) ([]faultline.WriteEvent, error) {
	if _, err := v.Write(ctx, id); err != nil {
		return nil, err
	}
	return v.in.WriteEvents(ctx, id)
}
