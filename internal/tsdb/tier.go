package tsdb

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/faultline-iot/faultline"
)

// A tier is a retention policy of the same database that holds condensed values for longer than the
// readings are kept: measurement and tags are the same as those of the readings, a point stands at the
// beginning of its step. "Database/policy" names the policy as a bucket (2.x) or database (3).
//
// The field named as the point is what stands for it: the mean of a float, the last of an integer,
// boolean or string, so that a question to the readings can be put to a tier as it is. Beside it
// stand <point>__min, __max, __n (how many values), and __last of a float, __mean of an integer; strings
// have no __min and __max. A mark <point>__q says why there is no value, or that the last one is
// uncertain. No name of a point holds "__", so that none of these can be another point's.
type Tier struct {
	Name      string        // of the retention policy
	Step      time.Duration // of a point
	Retention time.Duration // 0 keeps for ever
}

const (
	// Minutes and Hours name the tiers' retention policies.
	Minutes = "m1"
	Hours   = "h1"
	// Late is the value of the tag "origin" of readings that came when those of their time had expired:
	// they stand in the tiers one by one, each with the field <point>__n = 1.
	Late = "late"

	minSuffix, maxSuffix, countSuffix, lastSuffix, meanSuffix = "__min", "__max", "__n", "__last", "__mean"

	// lateMargin is how long before their retention ends readings go to the tiers one by one.
	lateMargin = 3 * time.Hour
)

// Tiers makes the tiers of one minute and one hour, with their retentions.
func Tiers(minutes, hours time.Duration) []Tier {
	return []Tier{{Minutes, time.Minute, minutes}, {Hours, time.Hour, hours}}
}

// Tiers of the database, the finest first; none if it has only readings.
func (c *Client) Tiers() []Tier { return slices.Clone(c.cfg.Tiers) }

// Whole tells since when the readings of an hour are surely all there, so that it may be condensed; the
// zero time if they are kept for ever.
func (c *Client) Whole(now time.Time) time.Time {
	if c.cfg.Retention <= 0 {
		return time.Time{}
	}
	return now.Add(-c.cfg.Retention)
}

// Kept tells since when readings are written to their own retention policy, where they are kept for
// that long; those before it go to the tiers one by one (AppendLate). The zero time if readings are kept
// for ever. Between it and Whole there are some hours, in which what was written is condensed.
func Kept(retention time.Duration, now time.Time) time.Time {
	if retention <= 0 {
		return time.Time{}
	}
	return now.Add(-retention + min(lateMargin, retention/8))
}

// Keeps tells whether the tier still has points of that time.
func (t *Tier) Keeps(at, now time.Time) bool {
	return t.Retention <= 0 || at.After(now.Add(-t.Retention))
}

// TierList is the measurement, in the retention policy Hours, that says what each tier is for: fields policy,
// upto (the longest time to draw from it, ms) and since (the oldest time that it has, ms since 1970). A
// dashboard takes the newest point that has the time which it shows; of the points that are written together the
// finest tier's is the newest.
const TierList = Reserved + "tiers"

// The longest times to draw from the readings and from the minutes.
const (
	drawReadings = 2 * 24 * time.Hour
	drawMinutes  = 45 * 24 * time.Hour
)

// ShowTiers writes the measurement TierList anew. A database without tiers has none to show.
func (c *Client) ShowTiers(ctx context.Context, now time.Time) error {
	if len(c.cfg.Tiers) == 0 {
		return nil
	}
	var lines []byte
	add := func(policy string, upto, keeps time.Duration, nano int64) {
		since := int64(0)
		if keeps > 0 {
			since = now.Add(-keeps).UnixMilli()
		}
		lines = fmt.Appendf(lines, "%s policy=%q,upto=%di,since=%di %d\n", TierList, policy, upto.Milliseconds(), since, now.UnixNano()+nano)
	}
	for _, t := range c.cfg.Tiers {
		if t.Name == Minutes {
			add(t.Name, drawMinutes, t.Retention, 1)
		} else {
			add(t.Name, math.MaxInt64, 0, 0)
		}
	}
	add(Policy, drawReadings, c.cfg.Retention, 2)
	return c.WriteIn(ctx, Hours, lines)
}

// policyBucket names a retention policy where writes ask for a bucket.
func (c *Client) policyBucket(policy string) string {
	if policy == "" || policy == Policy {
		return c.cfg.Database
	}
	return c.cfg.Database + "/" + policy
}

// kept is a field that a tier keeps of a point: what the server is asked for, and what it is written as.
type kept struct {
	call, suffix string
	typ          string // "float", "integer", "boolean" or "string"
}

// keptOf lists the fields by the point's type.
func keptOf(typ string) []kept {
	switch typ {
	case "float":
		return []kept{{"mean", "", "float"}, {"min", minSuffix, "float"}, {"max", maxSuffix, "float"}, {"last", lastSuffix, "float"}, {"count", countSuffix, "integer"}}
	case "integer":
		return []kept{{"last", "", "integer"}, {"min", minSuffix, "integer"}, {"max", maxSuffix, "integer"}, {"mean", meanSuffix, "float"}, {"count", countSuffix, "integer"}}
	case "boolean":
		return []kept{{"last", "", "boolean"}, {"min", minSuffix, "boolean"}, {"max", maxSuffix, "boolean"}, {"count", countSuffix, "integer"}}
	case "string":
		return []kept{{"last", "", "string"}, {"count", countSuffix, "integer"}}
	}
	return nil
}

// isPoint tells whether a field is a point's own, not a mark or one of a tier's.
func isPoint(field string) bool { return !strings.Contains(field, "__") }

// typeName is what the server calls a type.
func typeName(t faultline.Type) string {
	switch t {
	case faultline.TypeFloat:
		return "float"
	case faultline.TypeInt:
		return "integer"
	case faultline.TypeBool:
		return "boolean"
	case faultline.TypeString:
		return "string"
	}
	return ""
}
