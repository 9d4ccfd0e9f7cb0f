package store

import (
	"errors"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

func testJobs(t *testing.T, s *Store) {
	ctx := t.Context()
	claim := func(owner string, now time.Time) []Job {
		t.Helper()
		jobs, err := s.Claim(ctx, "mail", owner, 10, time.Minute, now)
		must(t, err)
		return jobs
	}
	wantErr(t, s.Schedule(ctx, Job{Kind: "mail"}), faultline.ErrInvalid, "key")
	must(t, s.Schedule(ctx, Job{Kind: "mail", Key: "b", Due: t0.Add(time.Hour), Doc: "first"}))
	must(t, s.Schedule(ctx, Job{Kind: "mail", Key: "a", Due: t0}))
	must(t, s.Schedule(ctx, Job{Kind: "other", Key: "a", Due: t0.Add(-time.Hour)}))
	inTx(t, s, lease(t, s), func(tx *Tx) error {
		return tx.Schedule(Job{Kind: "mail", Key: "b", Due: t0.Add(2 * time.Hour), Doc: "second"}) // later: stays due when it was
	})
	equal(t, "before they are due", len(claim("me", t0.Add(-1))), 0)
	got := claim("me", t0)
	equal(t, "due", len(got), 1)
	equal(t, "due", got[0].Key+got[0].Owner, "ame")
	equal(t, "claimed already", len(claim("you", t0.Add(59*time.Second))), 0)

	// A claim that ran out goes to the next, and the first worker ends nothing any more.
	again := claim("you", t0.Add(time.Minute))
	equal(t, "after the claim ran out", len(again), 1)
	wantErr(t, s.Finish(ctx, got[0], time.Time{}), faultline.ErrFenced, "mail a")
	wantErr(t, s.Fail(ctx, got[0], errors.New("x"), t0), faultline.ErrFenced)

	must(t, s.Fail(ctx, again[0], errors.New("no \xff\x00 answer"), t0.Add(10*time.Minute)))
	equal(t, "after a failure, too early", len(claim("me", t0.Add(9*time.Minute))), 0)
	got = claim("me", t0.Add(10*time.Minute))
	equal(t, "after a failure", len(got), 1)
	equal(t, "attempts", got[0].Attempts, 1)
	equal(t, "error", got[0].Error, "no   answer")

	// Asked for while it is done: once more.
	must(t, s.Schedule(ctx, Job{Kind: "mail", Key: "a", Due: t0.Add(20 * time.Minute)}))
	must(t, s.Finish(ctx, got[0], time.Time{}))
	got = claim("me", t0.Add(20*time.Minute))
	equal(t, "asked for in between", len(got), 1)
	equal(t, "attempts", got[0].Attempts, 0)
	must(t, s.Finish(ctx, got[0], t0.Add(30*time.Minute)))
	equal(t, "again, too early", len(claim("me", t0.Add(29*time.Minute))), 0)
	got = claim("me", t0.Add(30*time.Minute))
	equal(t, "again", len(got), 1)
	must(t, s.Finish(ctx, got[0], time.Time{}))

	jobs, err := s.Jobs(ctx, "mail")
	must(t, err)
	equal(t, "left", len(jobs), 1)
	equal(t, "left", jobs[0].Doc+" "+jobs[0].Due.String(), "second "+t0.Add(time.Hour).String())
	must(t, s.Postpone(ctx, "mail", "b", t0.Add(5*time.Hour), t0))
	equal(t, "postponed", len(claim("me", t0.Add(4*time.Hour))), 0)
	wantErr(t, s.Postpone(ctx, "mail", "none", t0, t0), faultline.ErrNotFound)
	got = claim("me", t0.Add(5*time.Hour))
	wantErr(t, s.Postpone(ctx, "mail", "b", t0, t0.Add(5*time.Hour)), faultline.ErrConflict)
	must(t, s.Unschedule(ctx, "mail", "b"))
	must(t, s.Finish(ctx, got[0], t0)) // it is gone: nobody wants it
	jobs, err = s.Jobs(ctx, "")
	must(t, err)
	equal(t, "all kinds", len(jobs), 1)
}

func testJobRace(t *testing.T, s *Store) {
	ctx := t.Context()
	for i := range 40 {
		must(t, s.Schedule(ctx, Job{Kind: "k", Key: string(rune('a' + i)), Due: t0}))
	}
	done := make(chan Job, 400)
	for _, err := range together(8, func(i int) error {
		for {
			jobs, err := s.Claim(ctx, "k", string(rune('A'+i)), 3, time.Hour, t0)
			if err != nil || len(jobs) == 0 {
				return err
			}
			for _, j := range jobs {
				done <- j
				if err := s.Finish(ctx, j, time.Time{}); err != nil {
					return err
				}
			}
		}
	}) {
		must(t, err)
	}
	close(done)
	seen := map[string]bool{}
	for j := range done {
		if seen[j.Key] {
			t.Errorf("job %s was claimed twice", j)
		}
		seen[j.Key] = true
	}
	jobs, err := s.Jobs(ctx, "k")
	must(t, err)
	// One that another was claiming is passed over: it is the other's.
	equal(t, "done and left", len(seen)+len(jobs), 40)
	equal(t, "left", len(jobs), 0)
}

func testStaleHours(t *testing.T, s *Store) {
	ctx, l := t.Context(), lease(t, s)
	hour := t0.Truncate(time.Hour)
	later := func(h time.Time) time.Time { return h.Add(time.Hour) }
	inTx(t, s, l, func(tx *Tx) error {
		must(t, tx.MarkStale("plant", later))
		must(t, tx.MarkStale("plant", later, hour, hour.Add(-time.Hour)))
		return tx.MarkStale("plant", later, t0)
	})
	must(t, s.MarkStale(ctx, "plant-2", later, hour))
	wantErr(t, s.MarkStale(ctx, "", later, hour), faultline.ErrInvalid)
	jobs, err := s.Jobs(ctx, JobTier)
	must(t, err)
	equal(t, "jobs", len(jobs), 2)
	equal(t, "job", jobs[0].Key+" "+jobs[0].Due.String(), "plant "+hour.String())

	hours, next, err := s.StaleHours(ctx, "plant", hour.Add(time.Minute), 10)
	must(t, err)
	equal(t, "due", hours, []StaleHour{{Hour: hour.Add(-time.Hour), Changes: 1, Due: hour}})
	equal(t, "next", next, hour.Add(time.Hour))
	at, any, err := s.StaleFrom(ctx, "plant", t0, t0.Add(time.Minute))
	must(t, err)
	equal(t, "stale from", at, hour)
	equal(t, "stale", any, true)
	at, _, err = s.StaleFrom(ctx, "plant", hour.Add(-24*time.Hour), t0)
	must(t, err)
	equal(t, "stale from", at, hour.Add(-time.Hour))
	_, any, err = s.StaleFrom(ctx, "plant", hour.Add(time.Hour), hour.Add(2*time.Hour))
	must(t, err)
	equal(t, "stale", any, false)

	hours, next, err = s.StaleHours(ctx, "plant", hour.Add(2*time.Hour), 10)
	must(t, err)
	equal(t, "due", len(hours), 2)
	equal(t, "next", next, time.Time{})
	n, err := s.CountStale(ctx, hour.Add(2*time.Hour))
	must(t, err)
	equal(t, "of all sites", n, 3)
	inTx(t, s, l, func(tx *Tx) error { return tx.MarkStale("plant", later, hour) }) // while it is condensed
	must(t, s.Condensed(ctx, "plant", hours))
	hours, _, err = s.StaleHours(ctx, "plant", hour.Add(2*time.Hour), 10)
	must(t, err)
	equal(t, "marked again", hours, []StaleHour{{Hour: hour, Changes: 3, Due: hour.Add(time.Hour)}})
	must(t, s.Condensed(ctx, "plant", hours))
	_, any, err = s.StaleFrom(ctx, "plant", hour.Add(-24*time.Hour), t0)
	must(t, err)
	equal(t, "stale", any, false)
}
