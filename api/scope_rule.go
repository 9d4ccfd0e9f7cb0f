package api

import (
	"context"

	faultline "github.com/faultline-iot/faultline"
)

// Rules are about no site: who may read at all may read them, and their routes are for those who may change
// them everywhere.

var _ documents = (*view)(nil)

func (v *view) Revision(ctx context.Context, kind, name string, version int) (faultline.Revision, error) {
	return v.in.Revision(ctx, kind, name, version)
}

func (v *view) LiveRevisions(ctx context.Context, kind string) ([]faultline.Revision, error) {
	return v.in.LiveRevisions(ctx, kind)
}

func (v *view) Revisions(ctx context.Context, kind, name string) ([]faultline.Revision, error) {
	return v.in.Revisions(ctx, kind, name)
}

func (v *view) RevisionEvents(ctx context.Context, kind, name string) ([]faultline.RevisionEvent, error) {
	return v.in.RevisionEvents(ctx, kind, name)
}

func (v *view) AddRevision(ctx context.Context, r faultline.Revision, newest int) (faultline.Revision, error) {
	return v.in.AddRevision(ctx, r, newest)
}

func (v *view) MoveRevision(ctx context.Context, e faultline.RevisionEvent, live int) (faultline.Revision, error) {
	return v.in.MoveRevision(ctx, e, live)
}
