package bus

import (
	"fmt"
	"sync"
	"testing"
)

// Processes that start on an empty hub at the same time make each partition once.
func TestOpenHubTogether(t *testing.T) {
	const processes, partitions = 6, 8
	for round := range 5 {
		s := startServer(t, ServerConfig{Dir: t.TempDir()})
		var wg sync.WaitGroup
		begin := make(chan bool)
		errs := make([]error, processes)
		hubs := make([]*Hub, processes)
		for i := range processes {
			c, err := s.Connect(fmt.Sprint("process-", i))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			wg.Go(func() {
				<-begin
				hubs[i], errs[i] = c.OpenHub(t.Context(), HubConfig{Partitions: partitions})
			})
		}
		close(begin)
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				t.Fatalf("round %d, process %d: %v", round, i, err)
			}
			for p := range partitions {
				if hubs[i].Stream(p) != hubs[0].Stream(p) {
					t.Errorf("round %d: partition %d is %s and %s", round, p, hubs[i].Stream(p), hubs[0].Stream(p))
				}
			}
		}
		found, err := hubs[0].conn.list(t.Context(), "hub")
		if err != nil || len(found) != partitions {
			t.Errorf("round %d: %d streams for %d partitions: %v", round, len(found), partitions, err)
		}
	}
}
