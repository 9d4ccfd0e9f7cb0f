package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// Job is work that is due at a time: one row for each kind and key, whoever asks for it and however
// often. It is claimed for a while by one worker; a worker that died is followed by the next when its
// claim has run out. What a crash leaves: a claimed job is done again, so that doing a job must be
// idempotent.
type Job struct {
	Kind     string
	Key      string    // unique within the kind
	Due      time.Time // not before
	Doc      string    // what the worker needs to know, in the words of its kind; kept as it was asked for last
	Attempts int       // that failed since it was last done
	Error    string    // of the last attempt that failed
	Owner    string    // of the claim; empty: nobody's
	Until    time.Time // the claim's end

	version, claim int64
}

func (j Job) String() string { return j.Kind + " " + j.Key }

// Schedule asks for a job at due. If it is there already it becomes due at the earlier of both times,
// and one that is being done is done once more after that.
func (s *Store) Schedule(ctx context.Context, j Job) error {
	return s.update(ctx, "schedule job", func(c conn) error { return c.schedule(ctx, j) })
}

// Schedule asks for a job as Store.Schedule does, in the transaction.
func (t *Tx) Schedule(j Job) error { return t.c.schedule(t.ctx, j) }

func (c conn) schedule(ctx context.Context, j Job) error {
	if err := identity("job", "kind", j.Kind, "key", j.Key); err != nil {
		return err
	}
	if _, err := c.exec(ctx, `INSERT INTO job (kind, key, due, version, claim, owner, until, attempts, error, doc)
		VALUES (?, ?, ?, 1, 0, '', 0, 0, '', ?)
		ON CONFLICT (kind, key) DO UPDATE SET version = job.version + 1, doc = excluded.doc,
			due = CASE WHEN excluded.due < job.due THEN excluded.due ELSE job.due END`,
		j.Kind, j.Key, nanos(j.Due), j.Doc); err != nil {
		return fmt.Errorf("schedule job %s: %w", j, err)
	}
	return nil
}

// Postpone sets the time of a job that nobody has claimed, later or earlier; faultline.ErrNotFound
// if there is no such job, faultline.ErrConflict while it is claimed.
func (s *Store) Postpone(ctx context.Context, kind, key string, due, now time.Time) error {
	return s.update(ctx, "postpone job", func(c conn) error {
		n, err := c.exec(ctx, `UPDATE job SET due = ? WHERE kind = ? AND key = ? AND (owner = '' OR until <= ?)`, nanos(due), kind, key, nanos(now))
		if err != nil {
			return fmt.Errorf("postpone job %s %s: %w", kind, key, err)
		}
		if n == 1 {
			return nil
		}
		var one int
		if err := c.row(ctx, `SELECT 1 FROM job WHERE kind = ? AND key = ?`, kind, key).Scan(&one); errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("postpone job %s %s: %w", kind, key, faultline.ErrNotFound)
		} else if err != nil {
			return fmt.Errorf("postpone job %s %s: %w", kind, key, err)
		}
		return fmt.Errorf("postpone job %s %s: %w: it is being done", kind, key, faultline.ErrConflict)
	})
}

// Unschedule forgets a job, also one that is being done.
func (s *Store) Unschedule(ctx context.Context, kind, key string) error {
	return s.update(ctx, "unschedule job", func(c conn) error {
		if _, err := c.exec(ctx, `DELETE FROM job WHERE kind = ? AND key = ?`, kind, key); err != nil {
			return fmt.Errorf("unschedule job %s %s: %w", kind, key, err)
		}
		return nil
	})
}

// Claim gives at most limit jobs of a kind that are due and nobody's, the longest due first, and makes
// them owner's until now + ttl. The worker ends each with Finish or Fail, and does nothing more for it
// once its claim has run out.
func (s *Store) Claim(ctx context.Context, kind, owner string, limit int, ttl time.Duration, now time.Time) ([]Job, error) {
	if err := identity("claim", "kind", kind, "owner", owner); err != nil {
		return nil, err
	}
	var jobs []Job
	err := s.update(ctx, "claim jobs", func(c conn) error {
		jobs = nil
		if err := c.each(ctx, func(rows *sql.Rows) error {
			j, err := scanJob(rows)
			jobs = append(jobs, j)
			return err
		}, jobColumns+` WHERE kind = ? AND due <= ? AND (owner = '' OR until <= ?) ORDER BY due, key LIMIT ?`+c.d.skipRows, kind, nanos(now), nanos(now), limit); err != nil {
			return fmt.Errorf("claim jobs %s: %w", kind, err)
		}
		for i := range jobs {
			j := &jobs[i]
			j.Owner, j.Until = owner, now.Add(ttl).UTC()
			j.claim++
			if _, err := c.exec(ctx, `UPDATE job SET owner = ?, until = ?, claim = ? WHERE kind = ? AND key = ?`, j.Owner, nanos(j.Until), j.claim, j.Kind, j.Key); err != nil {
				return fmt.Errorf("claim job %s: %w", j, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

// Finish ends a claimed job: it is gone if next is zero, else due again at next. One that was asked
// for again since it was claimed stays as it was asked for, or is due at next if that is earlier.
// faultline.ErrFenced if another worker has claimed it.
func (s *Store) Finish(ctx context.Context, j Job, next time.Time) error {
	return s.update(ctx, "finish job", func(c conn) error { return c.finish(ctx, j, next) })
}

func (c conn) finish(ctx context.Context, j Job, next time.Time) (err error) {
	var n int64
	if next.IsZero() {
		n, err = c.exec(ctx, `DELETE FROM job WHERE kind = ? AND key = ? AND claim = ? AND version = ?`, j.Kind, j.Key, j.claim, j.version)
	}
	if err == nil && n == 0 {
		at := nanos(next)
		if next.IsZero() {
			at = 1<<63 - 1
		}
		n, err = c.exec(ctx, `UPDATE job SET owner = '', until = 0, attempts = 0, error = '',
			due = CASE WHEN version = ? OR ? < due THEN ? ELSE due END WHERE kind = ? AND key = ? AND claim = ?`, j.version, at, at, j.Kind, j.Key, j.claim)
	}
	if err != nil {
		return fmt.Errorf("finish job %s: %w", j, err)
	}
	return c.claimed(ctx, "finish", j, n)
}

// Fail ends a claimed job that could not be done: it is due again at next, with one more attempt.
func (s *Store) Fail(ctx context.Context, j Job, why error, next time.Time) error {
	return s.update(ctx, "fail job", func(c conn) error {
		text := why.Error()
		text = strings.ReplaceAll(strings.ToValidUTF8(text[:min(len(text), 500)], ""), "\x00", " ")
		n, err := c.exec(ctx, `UPDATE job SET owner = '', until = 0, attempts = attempts + 1, error = ?, due = ? WHERE kind = ? AND key = ? AND claim = ?`,
			text, nanos(next), j.Kind, j.Key, j.claim)
		if err != nil {
			return fmt.Errorf("fail job %s: %w", j, err)
		}
		return c.claimed(ctx, "fail", j, n)
	})
}

// claimed says whether n rows were the job under its claim. A job that was unscheduled meanwhile is no error.
func (c conn) claimed(ctx context.Context, what string, j Job, n int64) error {
	if n > 0 {
		return nil
	}
	var one int
	err := c.row(ctx, `SELECT 1 FROM job WHERE kind = ? AND key = ?`, j.Kind, j.Key).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s job %s: %w", what, j, err)
	}
	return fmt.Errorf("%s job %s: %w: another worker has claimed it", what, j, faultline.ErrFenced)
}

// Jobs lists all jobs of a kind, or of all kinds if it is empty, the earliest due first.
func (s *Store) Jobs(ctx context.Context, kind string) ([]Job, error) {
	jobs := []Job{}
	err := s.reader().each(ctx, func(rows *sql.Rows) error {
		j, err := scanJob(rows)
		jobs = append(jobs, j)
		return err
	}, jobColumns+` WHERE kind = ? OR ? = '' ORDER BY due, kind, key`, kind, kind)
	if err != nil {
		return nil, fmt.Errorf("jobs %s: %w", kind, err)
	}
	return jobs, nil
}

const jobColumns = `SELECT kind, key, due, version, claim, owner, until, attempts, error, doc FROM job`

func scanJob(rows *sql.Rows) (j Job, err error) {
	var due, until int64
	err = rows.Scan(&j.Kind, &j.Key, &due, &j.version, &j.claim, &j.Owner, &until, &j.Attempts, &j.Error, &j.Doc)
	j.Due, j.Until = moment(due), moment(until)
	return j, err
}
