package store

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faultline-iot/faultline"
)

// conformance is what every database must do alike. Each test gets a store of its own.
var conformance = []struct {
	name string
	run  func(*testing.T, *Store)
}{
	{"registry", testRegistry},
	{"register", testRegister},
	{"register and configuration", testRegisterSeeds},
	{"rule instances", testRuleInstances},
	{"round trips", testRoundTrips},
	{"awkward text", testAwkwardText},
	{"times", testTimes},
	{"append only", testAppendOnly},
	{"alarms", testAlarms},
	{"writes", testWrites},
	{"alarm events", testAlarmEvents},
	{"journals", testJournals},
	{"forecasts", testForecasts},
	{"figures", testFigures},
	{"inspections", testInspections},
	{"places and ledger", testPlaces},
	{"dead letters", testDeadLetters},
	{"units", testUnits},
	{"jobs", testJobs},
	{"a job has one worker", testJobRace},
	{"stale hours", testStaleHours},
	{"import", testImport},
	{"lease life", testLeaseLife},
	{"lease has one winner", testLeaseWinner},
	{"partitions are shared", testShare},
	{"a fenced owner writes nothing", testFenced},
	{"fencing under fire", testFencingRace},
	{"rollback", testRollback},
	{"create ticket", testCreateTicket},
	{"one key, one ticket", testOneKey},
	{"keys in any order", testKeyOrder},
	{"numbers without gaps", testNumbers},
	{"update ticket", testUpdateTicket},
	{"change ticket", testChangeTicket},
	{"change ticket at once", testChangeTicketRace},
	{"ticket filters", testTicketFilters},
	{"ticket pages", testTicketPages},
	{"revisions", testRevisions},
	{"seeds of revisions", testSeedRevisions},
	{"revisions at once", testRevisionRace},
	{"users", testUsers},
	{"invites", testInvites},
	{"teams", testTeams},
	{"sessions and tokens", testSessions},
	{"audit", testAudit},
	{"audit by many", testAuditTogether},
	{"audit forged", testAuditForged},
}

// t0 has nanoseconds that a float or a millisecond column would lose.
var t0 = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func openAt(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want one that is %v", err, want)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("error %q does not say %q", err, w)
		}
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\ngot  %.2000s\nwant %.2000s", what, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
}

func lease(t testing.TB, s *Store) Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), "rules", 0, "test", time.Hour, t0)
	must(t, err)
	return l
}

func inTx(t testing.TB, s *Store, l Lease, fn func(*Tx) error) {
	t.Helper()
	must(t, s.Tx(t.Context(), l, fn))
}

// create makes a fault ticket at plant/P-1 with these keys.
func create(t testing.TB, s *Store, l Lease, keys ...string) faultline.Ticket {
	t.Helper()
	k := aTicket(keys...)
	inTx(t, s, l, func(tx *Tx) error { return tx.CreateTicket(&k) })
	return k
}

func aTicket(keys ...string) faultline.Ticket {
	return faultline.Ticket{Kind: faultline.TicketFault, Status: faultline.StatusNew, Priority: faultline.P2,
		Site: "plant", Position: "P-1", Title: "Bearing hot", Keys: keys, EventAt: t0, ReceivedAt: t0}
}

func anAlarm(rule string) faultline.Alarm {
	return faultline.Alarm{ID: faultline.AlarmID("plant", "P-1", rule), Site: "plant", Position: "P-1", Rule: rule,
		Active: true, Severity: faultline.SeverityWarning, RaisedAt: t0, Count: 1}
}

// together runs fn n times at once and gives the errors.
func together(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// filled makes a value whose every field, at any depth, holds something of its own, so that a round
// trip that loses one shows.
func filled[T any]() T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64:
		v.SetUint(1<<63 + uint64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(1 + *n%4)) // faultline.Type
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(t0.Add(time.Duration(*n))))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("fill: " + v.Kind().String())
	}
	if v.Type() == reflect.TypeFor[faultline.Severity]() {
		v.SetInt(int64(1 + *n%3))
	}
}
