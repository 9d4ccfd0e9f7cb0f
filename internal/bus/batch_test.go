package bus

import (
	"strconv"
	"testing"
)

// BenchmarkCommit compares storing few records one after the other with one atomic batch.
func BenchmarkCommit(b *testing.B) {
	for _, n := range [...]int{2, 4, 8, 16} {
		recs := make([]record, n)
		for i := range recs {
			recs[i] = record{subject: "f.0.plant-3.gw1.pump-7", data: make([]byte, 1000)}
		}
		b.Run("one by one/"+strconv.Itoa(n), func(b *testing.B) {
			h, _ := benchmarkHub(b)
			for b.Loop() {
				for i := range recs {
					if _, err := h.conn.one(b.Context(), recs[i].message()); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		b.Run("batch/"+strconv.Itoa(n), func(b *testing.B) {
			h, _ := benchmarkHub(b)
			for b.Loop() {
				if _, err := h.conn.batch(b.Context(), token(10), recs, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
