package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/faultline-iot/faultline"
)

const (
	restWithin  = 4 * time.Minute  // for the signals to come to rest
	patience    = 90 * time.Second // without any progress, nothing more is expected
	lastCommits = 2 * time.Second  // after the equipment ended: what was read last is committed and forwarded
	lastFlushes = 3 * time.Second  // after the gateways ended
)

// settle brings the equipment to rest and waits until what was sent has arrived, or nothing moves any more.
func (r *run) settle(ctx context.Context, p *plant) error {
	for _, d := range p.devices {
		d.close()
	}
	for end := time.Now().Add(restWithin); ; {
		restless := ""
		for _, d := range p.devices {
			if !d.quiet() {
				restless = d.position
				break
			}
		}
		if restless == "" {
			break
		}
		if time.Now().After(end) {
			r.report.problem("%s was not read to its rest within %s", restless, restWithin)
			break
		}
		if pause(ctx, time.Second); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	p.offline()
	pause(ctx, lastCommits)
	best, since := -1, time.Now()
	for said := time.Now(); ; {
		have, want, err := r.progress(ctx, p)
		if err == nil && have >= want {
			return nil
		}
		if err == nil && have > best {
			best, since = have, time.Now()
		}
		if time.Since(since) > patience {
			r.say("nothing moved for %s: %d of %d readings, alarms and tickets are there (%v)", patience, best, want, err)
			return nil // the account says what is missing
		}
		if time.Since(said) > 15*time.Second {
			said = time.Now()
			r.say("… %d of %d readings, alarms and tickets have arrived", max(best, 0), want)
		}
		if pause(ctx, time.Second); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// progress counts readings in InfluxDB and alarms against those that must come. Each position counts up
// to what is expected of it, so that one too many here does not hide one too few there.
func (r *run) progress(ctx context.Context, p *plant) (have, want int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tickets, _, err := p.tickets(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, d := range p.devices {
		d.mu.Lock()
		excursions := len(d.excursions)
		d.mu.Unlock()
		proven := d.proven()
		want += proven + excursions
		_, values, err := p.influx().query(ctx, fmt.Sprintf(`SELECT count("n") FROM %q WHERE "site" = '%s' AND "position" = '%s'`, assetKind, d.site, d.position))
		if err != nil {
			return have, want, err
		}
		if len(values) == 1 {
			if n, ok := values[0][1].(json.Number); ok {
				k, _ := n.Int64()
				have += min(int(k), proven)
			}
		}
		a, events, err := p.alarmOf(ctx, d)
		if err != nil {
			return have, want, err
		}
		have += min(a.Count, excursions)
		if excursions > 0 {
			want++
			if _, over := history(d, events); tickets[d.position] > 0 || over {
				have++
			}
		}
	}
	return have, want, nil
}

// influx is the InfluxDB of the installation.
func (p *plant) influx() influx {
	url := p.at.influx
	if url == "" {
		url = "http://" + p.at.influxHere
	}
	return influx{url, influxToken}
}

// judge makes the account of an installation and adds it to the report.
func (r *run) judge(ctx context.Context, p *plant, s stage, took time.Duration) error {
	for _, g := range p.gateways {
		p.parts[g.id].end() // so that ledger and InfluxDB stand still
	}
	pause(ctx, lastFlushes)
	r.say("%s: accounting for every sample", s.lay.name)
	st := Stage{Name: s.lay.name, Seconds: took.Seconds(), InfluxDB: "embedded engine 1.8.10", Parts: map[string]PartReport{}}
	if s.lay.influxd != "" {
		st.InfluxDB = s.lay.influxd
	}
	rows, missing, lost := map[string]int{}, map[string]int{}, map[string][]string{}
	for _, d := range p.devices {
		a, err := accountFor(ctx, p.influx(), d)
		if err != nil {
			return err
		}
		st.Samples.add(a.Samples)
		rows[d.gateway] += a.rows
		missing[d.gateway] += len(a.missing)
		lost[d.gateway] = append(lost[d.gateway], a.lost[:min(len(a.lost), 5)]...)
		r.report.Problems = append(r.report.Problems, append(a.problems, d.odd...)...)
		err = p.influx().rows(ctx, faultline.HealthKind, d.site, d.position, func(row) { rows[d.gateway]++ })
		if err != nil {
			return err
		}
	}
	ledger, dropped, problems, err := p.judgeLedger(ctx, rows, missing)
	if err != nil {
		return err
	}
	st.Ledger = ledger
	for _, g := range p.gateways {
		if dropped[g.id] { // these are the missing ones
			st.Samples.DroppedByLimit += missing[g.id] * samplesPerReading
			st.Samples.Missing -= missing[g.id] * samplesPerReading
			continue
		}
		r.report.Problems = append(r.report.Problems, lost[g.id]...)
	}
	var more []string
	if st.Tickets, st.Alarms, more, err = p.judgeDesk(ctx); err != nil {
		return err
	}
	r.report.Problems = append(r.report.Problems, append(problems, more...)...)
	for _, name := range p.order {
		starts, ends := p.parts[name].ended()
		st.Parts[name] = PartReport{Starts: starts, EndedByItself: ends}
	}
	r.report.Stages = append(r.report.Stages, st)
	return nil
}

// judgeLedger compares the ledger with InfluxDB: each frame that it calls delivered is a point there, and
// what it calls dropped by a limit accounts for all that is missing, or for nothing.
func (p *plant) judgeLedger(ctx context.Context, rows, missing map[string]int) (total Ledger, dropped map[string]bool, problems []string, err error) {
	dropped = map[string]bool{}
	var l struct{ Rows []faultline.LedgerRow }
	if err := p.ask(ctx, "/ledger", &l); err != nil {
		return total, nil, nil, err
	}
	for _, g := range p.gateways {
		var one Ledger
		for _, r := range l.Rows {
			if r.Gateway == g.id {
				one.add(r)
			}
		}
		if one.Missing > 0 {
			problems = append(problems, fmt.Sprintf("%s: the ledger says that %d frames are missing", g.id, one.Missing))
		}
		dropped[g.id] = missing[g.id] > 0 && uint64(missing[g.id]) <= one.Dropped
		if n := uint64(missing[g.id]); n > one.Missing+one.Dropped {
			problems = append(problems, fmt.Sprintf("%s: %d readings are missing, of which the ledger knows %d", g.id, n, one.Missing+one.Dropped))
		}
		// A message that its sender repeated, without the gateway knowing it again, is two frames and one point.
		if n := uint64(rows[g.id]); n+one.Expired+one.Dead > one.Delivered || n+one.Expired+one.Dead+one.Possibly < one.Delivered {
			problems = append(problems, fmt.Sprintf("%s: the ledger says that %d frames were delivered (%d expired, %d dead, %d possibly twice), InfluxDB has %d", g.id, one.Delivered, one.Expired, one.Dead, one.Possibly, n))
		}
		total.sum(one)
	}
	total.Points = rows["gw-1"] + rows["gw-2"]
	return total, dropped, problems, nil
}
