package ingest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/faultline-iot/faultline"
)

func TestFramesReachInfluxAndTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.cfg.Registry = prometheus.NewRegistry()
		r.start(t)
		for range 1000 {
			at := time.Now()
			r.add(r.frame("g1", at), r.frame("g2", at), faultline.Message{Kind: faultline.KindTick})
			settle(time.Millisecond)
		}
		settle(time.Second)
		if n := r.count(); n != 2000 {
			t.Errorf("%d points, want 2000", n)
		}
		if got := r.at(); got != (faultline.Place{Stream: "s-1", Sequence: 3000}) || r.ing.Reached(0) != got {
			t.Errorf("place %v, reached %v; want sequence 3000", got, r.ing.Reached(0))
		}
		for _, g := range []string{"g1", "g2"} {
			if row := r.row(t, g); row.Delivered != 1000 || row.Missing+row.Duplicate+row.Late+row.Expired+row.Dead != 0 || row.First != 1 || row.Last != 1000 || row.FirstAt.IsZero() || row.LastAt.Before(row.FirstAt) {
				t.Errorf("%+v", row)
			}
		}
		if r.saved() > 10 || r.requests() > 10 {
			t.Errorf("%d saves and %d writes for two seconds of frames: they are not gathered", r.saved(), r.requests())
		}
		settle(10 * time.Second)
		if len(r.shown()) != 2 || !strings.HasPrefix(r.shown()[0], "faultline_ledger,epoch=e1,gateway=g") || !strings.Contains(r.shown()[0], " first=1i,last=1000i,delivered=1000i,late=0i,duplicate=0i,possibly_duplicate=0i,missing=0i,dropped=0i,expired=0i,dead=0i ") {
			t.Errorf("ledger in InfluxDB: %q, want both gateways once", r.shown())
		}
		if v := testutil.ToFloat64(r.ing.metrics.rows.WithLabelValues("s1", "g1", "delivered")); v != 1000 {
			t.Errorf("the gauge of delivered frames is %v", v)
		}
		if v := testutil.ToFloat64(r.ing.metrics.values); v != 2000 {
			t.Errorf("%v values counted, want 2000: bad samples have none", v)
		}
		problems, err := testutil.GatherAndLint(r.cfg.Registry.(*prometheus.Registry))
		if err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
		if g, ok := r.gateway("s1/g1"); !ok || g.LastSeen.IsZero() {
			t.Errorf("gateway %+v", g)
		}
		r.stop()
		if n, _ := testutil.GatherAndCount(r.cfg.Registry.(*prometheus.Registry), "faultline_ingest_ledger_frames"); n != 0 {
			t.Errorf("%d gauges of gateways are left when the lease is given back", n)
		}
		if r.holder() != "" {
			t.Error("the lease was not given back")
		}
	})
}

func TestALoneFrameDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		r.add(r.frame("g1", time.Now()))
		settle(300 * time.Millisecond)
		if r.count() != 1 || r.at().Sequence != 1 {
			t.Errorf("%d points, place %v after 300 ms", r.count(), r.at())
		}
	})
}

func TestEverySequenceIsAccountedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		now := time.Now()
		late := frame("g1", 3, now.Add(-2*time.Minute))
		possibly := frame("g1", 4, now)
		possibly.Possibly = true
		dropped := frame("g1", 10, now.Add(10))
		dropped.Dropped = 2 // 8 and 9; 5 to 7 are missing without a word
		r.add(
			frame("g1", 1, now.Add(1)), frame("g1", 1, now.Add(1)), // repeated
			frame("g1", 2, now.Add(-25*time.Hour)), // older than the retention
			late, possibly, dropped,
			heartbeat("g1", 12), // 11 and 12 never came
			frame("g1", 6, now.Add(6)),
			frame("g1", 6, now.Add(6)),
		)
		settle(time.Second)
		row := r.row(t, "g1")
		row.FirstAt, row.LastAt, row.LastFrame = time.Time{}, time.Time{}, time.Time{}
		for _, gaps := range [][]faultline.Gap{row.Gaps, row.Drops} {
			for i, g := range gaps {
				gaps[i] = faultline.Gap{From: g.From, To: g.To}
			}
		}
		want := faultline.LedgerRow{
			Site: "s1", Gateway: "g1", Epoch: "e1", First: 1, Last: 12, Delivered: 5, Late: 1, Duplicate: 2, Possibly: 1,
			Missing: 4, Dropped: 2, Expired: 1, Gaps: []faultline.Gap{{From: 5, To: 5}, {From: 7, To: 7}, {From: 11, To: 12}}, Drops: []faultline.Gap{{From: 8, To: 9}},
		}
		if fmt.Sprint(row) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", row, want)
		}
		if n := r.count(); n != 5 {
			t.Errorf("%d points, want 5", n)
		}
		r.add(heartbeat("g2", 0))
		settle(time.Second)
		if g, ok := r.gateway("s1/g2"); !ok || g.LastSeen.IsZero() {
			t.Error("a gateway that has stored nothing yet was not seen alive")
		}
		if r.has("g2") {
			t.Error("a gateway that has stored nothing yet has a ledger")
		}
	})
}

func TestInfluxDownHoldsThePlaceAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		r.add(r.frame("g1", time.Now()))
		settle(time.Second)
		if err := r.ing.Ready(); err != nil {
			t.Fatal(err)
		}
		r.influx.set(down)
		for range 600 { // ten minutes
			r.add(r.frame("g1", time.Now()))
			settle(time.Second)
		}
		if err := r.ing.Ready(); !errors.Is(err, errDown) {
			t.Errorf("ready says %v, want that InfluxDB is down", err)
		}
		if p := r.at(); p.Sequence != 1 {
			t.Errorf("the place moved to %v", p)
		}
		if r.requests() > 100 {
			t.Errorf("%d attempts in ten minutes", r.requests())
		}
		r.influx.set(nil)
		settle(30 * time.Second)
		if err := r.ing.Ready(); err != nil {
			t.Error(err)
		}
		if row := r.row(t, "g1"); r.count() != 601 || row.Delivered != 601 || row.Missing+row.Duplicate+row.Dead != 0 || r.at().Sequence != 601 {
			t.Errorf("%d points, place %v, %+v", r.count(), r.at(), row)
		}
	})
}

func TestItEndsWithinTheGraceWhileInfluxIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.influx.set(down)
		r.start(t)
		r.add(r.frame("g1", time.Now()))
		settle(time.Minute)
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > grace+time.Second {
			t.Errorf("it took %v to end", took)
		}
		if r.at().Sequence != 0 || r.holder() != "" {
			t.Errorf("place %v, lease with %q", r.at(), r.holder())
		}
	})
}

func TestOnlyTheBadLineGoesToTheDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		r.influx.set(refuse(" v=77,", "field type conflict"))
		at := time.Now()
		for range 1000 {
			at = at.Add(1)
			r.add(r.frame("g1", at))
		}
		bad := frame("g2", 1, at)
		bad.Payload = []byte(strings.Replace(string(bad.Payload), " v=1,", " v=77,", 1))
		r.add(bad)
		settle(time.Second)
		letters := r.letters()
		if len(letters) != 2 || letters[0].Gateway != "g2" || letters[1].Sequence != 77 || !strings.Contains(letters[1].Reason, "field type conflict") || !strings.Contains(letters[1].Line, " v=77,") {
			t.Fatalf("dead letters: %+v", letters)
		}
		if row := r.row(t, "g1"); r.count() != 999 || row.Delivered != 1000 || row.Dead != 1 {
			t.Errorf("%d points, %+v", r.count(), row)
		}
		if r.requests() > 60 {
			t.Errorf("%d writes to find two lines of 1001", r.requests())
		}
		// The position whose line was refused is written apart, and not any more once a line is taken.
		before := r.requests()
		bad.ID.Sequence, bad.Payload = 2, []byte(strings.Replace(string(bad.Payload), "bad:timeout", "bad:stale", 1))
		r.add(bad, frame("g3", 1, at), frame("g4", 1, at))
		settle(time.Second)
		if n := r.requests() - before; n != 2 || len(r.letters()) != 3 {
			t.Errorf("%d writes and %d dead letters for a line that was to be expected, want 2 and 3", n, len(r.letters()))
		}
		r.add(frame("g2", 3, at.Add(1)))
		settle(time.Second)
		before = r.requests()
		r.add(frame("g2", 4, at.Add(2)), frame("g3", 2, at.Add(2)))
		settle(time.Second)
		if n := r.requests() - before; n != 1 {
			t.Errorf("%d writes after the position's line was taken, want 1", n)
		}
	})
}

func TestLinesThatInfluxCallsExpiredAreNotDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.cfg.Retention = 0
		r.influx.set(refuse(" v=2,", "partial write: points beyond retention policy dropped=1"))
		r.start(t)
		old := time.Now().Add(-100 * 24 * time.Hour)
		r.add(r.frame("g1", old), r.frame("g1", old.Add(1)), r.frame("g1", old.Add(2)))
		settle(time.Second)
		if row := r.row(t, "g1"); len(r.letters()) != 0 || row.Expired != 1 || row.Delivered != 2 || row.Late != 2 || row.Dead != 0 {
			t.Errorf("%d dead letters, %+v", len(r.letters()), row)
		}
	})
}

func TestFramesThatCannotBeUnderstoodAreDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		now := time.Now()
		with := func(payload string) faultline.Message {
			m := r.frame("g1", now)
			m.Payload = []byte(payload)
			return m
		}
		good := string(frame("g1", 1, now).Payload)
		cases := []struct{ payload, says string }{
			{"\xff\x00 nonsense", "not a frame"},
			{strings.Replace(good, "P-g1", "P-g2", 1), "came as"},
			{strings.Replace(good, "gateway=g1", "gateway=g2", 1), "came as"},
			{strings.Replace(good, "pump", "faultline_ledger", 1), "reserved"},
			{good + "\n" + good, "invalid"},
			{good + "\npump,site=other v=1 1", "invalid"},
			{"pump,gateway=g1,position=P-g1,site=s1 v=1", "no time"},
			{fmt.Sprintf("pump,gateway=g1,position=P-g1,site=s1 v=1 %d", now.Add(48*time.Hour).UnixNano()), "ahead"},
			{"pump,gateway=g1,position=P-g1,site=s1 v=\"" + strings.Repeat("x", 600<<10) + "\" 1", "bytes: at most"},
			{"", "no fields"},
		}
		for _, c := range cases {
			r.add(with(c.payload))
		}
		r.add(with(good + "\n"))
		anonymous := frame("g1", 0, now)
		anonymous.ID = faultline.FrameID{Gateway: "g1 x", Epoch: "e1"}
		r.add(anonymous)
		settle(time.Second)
		letters := r.letters()
		if len(letters) != len(cases)+1 {
			t.Fatalf("%d dead letters, want %d", len(letters), len(cases)+1)
		}
		if !strings.Contains(letters[0].Reason, "gateway") {
			t.Errorf("without an identity: %+v", letters[0])
		}
		for i, c := range cases {
			d := letters[i+1]
			if !strings.Contains(d.Reason, c.says) || len(d.Reason) > maxReason+10 || len(d.Line) > maxDeadLine {
				t.Errorf("%.60q: reason %q, want %q", c.payload, d.Reason, c.says)
			}
			if strings.ContainsRune(d.Line, 0) {
				t.Errorf("%.60q: NUL in the dead letter", c.payload)
			}
		}
		if row := r.row(t, "g1"); r.count() != 1 || row.Dead != uint64(len(cases)) || row.Delivered != uint64(len(cases))+1 {
			t.Errorf("%d points, %+v", r.count(), row)
		}
		if r.at().Sequence != uint64(len(cases))+2 {
			t.Errorf("place %v", r.at())
		}
	})
}

func TestCrashBetweenWriteAndSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		now := time.Now()
		r.add(frame("g1", 1, now), frame("g1", 2, now.Add(1)))
		settle(time.Second)
		r.memory.set(errDown) // from here on nothing is saved
		bad := frame("g1", 6, now.Add(6))
		bad.Payload = []byte("nonsense")
		r.add(frame("g1", 2, now.Add(1)), frame("g1", 4, now.Add(4)), frame("g1", 3, now.Add(3)), bad)
		settle(time.Minute)
		if r.count() != 4 || r.at().Sequence != 2 {
			t.Fatalf("%d points, place %v: the test means to crash after the write", r.count(), r.at())
		}
		if err := r.ing.Ready(); !errors.Is(err, errDown) {
			t.Errorf("ready says %v", err)
		}
		r.stop()
		if row := r.row(t, "g1"); row.Delivered != 2 || r.at().Sequence != 2 {
			t.Fatalf("saved after the crash: %+v", row)
		}
		points := r.all()
		r.memory.set(nil)
		r.start(t)
		settle(time.Minute)
		if got := r.all(); got != points {
			t.Errorf("points differ:\n%s\n%s", got, points)
		}
		row := r.row(t, "g1")
		if row.Delivered != 5 || row.Duplicate != 1 || row.Missing != 1 || row.Dead != 1 || row.Last != 6 || len(r.letters()) != 1 || r.at().Sequence != 6 {
			t.Errorf("%d dead letters, place %v, %+v", len(r.letters()), r.at(), row)
		}
	})
}

func TestSavingAgainAfterAnUnknownOutcomeCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		lossy := &lossyStore{Store: r.memory, lost: 3}
		r.cfg.Store = lossy
		r.start(t)
		r.add(r.frame("g1", time.Now()), r.frame("g1", time.Now().Add(1)))
		settle(time.Minute)
		if row := r.row(t, "g1"); row.Delivered != 2 || row.Duplicate != 0 || lossy.lost != 0 {
			t.Errorf("%+v", row)
		}
	})
}

func TestAfterARestartItGoesOnFromThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		for range 5 {
			r.start(t)
			r.add(r.frame("g1", time.Now()), faultline.Message{Kind: faultline.KindTick})
			settle(time.Second)
			r.add(faultline.Message{Kind: faultline.KindTick}) // moves the place only
			settle(time.Second)
			r.stop()
		}
		if row := r.row(t, "g1"); row.Delivered != 5 || row.Duplicate != 0 || r.at().Sequence != 15 {
			t.Errorf("place %v, %+v", r.at(), row)
		}
	})
}

func TestIdlePlacesAreSavedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		for range 60 {
			r.add(faultline.Message{Kind: faultline.KindTick})
			settle(time.Second)
		}
		if p := r.at().Sequence; r.saved() > 13 || r.saved() < 9 || p < 54 {
			t.Errorf("%d saves up to %d in a minute of ticks, want about one in five seconds", r.saved(), p)
		}
	})
}

func TestMessagesThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.start(t)
		now := time.Now()
		r.add(frame("g1", 1, now), frame("g1", 2, now.Add(1)))
		settle(time.Second)
		r.stop()
		r.first, r.msgs = 11, nil // trimmed too far
		r.add(frame("g1", 11, now.Add(11)))
		r.start(t)
		settle(time.Second)
		if row := r.row(t, "g1"); row.Missing != 8 || row.Delivered != 3 || r.at().Sequence != 11 {
			t.Errorf("after trimming: place %v, %+v", r.at(), row)
		}
		if n := testutil.ToFloat64(r.ing.metrics.lost); n != 1 {
			t.Errorf("%v places lost, want 1", n)
		}
		r.stop()
		r.name, r.first, r.msgs = "s-2", 1, nil // restored; the edge fills it again
		for i := uint64(1); i <= 12; i++ {
			r.add(frame("g1", i, now.Add(time.Duration(i-1))))
		}
		r.start(t)
		settle(time.Second)
		if row := r.row(t, "g1"); row.Missing != 0 || row.Delivered != 12 || row.Duplicate != 3 || r.at() != (faultline.Place{Stream: "s-2", Sequence: 12}) {
			t.Errorf("after restoring: place %v, %+v", r.at(), row)
		}
	})
}
