package tsdb_test

import (
	"fmt"
	"testing"
	"time"
)

func TestMadeUpUntil(t *testing.T) {
	c, _ := open(t, 0)
	past := time.Now().Add(-time.Hour).Truncate(time.Minute).UTC()
	write(t, c, fmt.Sprintf(`pump,origin=demo,position=P-1,site=s1 temp=1 %d
pump,origin=demo,position=P-1,site=s1 temp__q="bad:timeout" %d
pump,gateway=g,position=P-1,site=s1 temp=2 %d
pump,gateway=g,position=P-2,site=s1 temp=2 %d
`, past.Add(-time.Minute).UnixNano(), past.UnixNano(), past.Add(time.Minute).UnixNano(), past.UnixNano()))
	for position, want := range map[string]time.Time{"P-1": past, "P-2": {}, "nobody": {}} {
		got, err := c.MadeUpUntil(t.Context(), "pump", "s1", position)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v; want %s", position, got, err, want)
		}
	}
}
