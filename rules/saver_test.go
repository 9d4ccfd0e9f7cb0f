package rules

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/faultline-iot/faultline"
)

// piecesLease notes what is saved together, and fails at a piece.
type piecesLease struct {
	Lease
	pieces [][]string
	places []faultline.Place
	drops  int
	fail   int
}

func (l *piecesLease) SaveUnits(_ context.Context, units []Unit, drop []string, place faultline.Place) error {
	if l.fail > 0 && len(l.pieces)+1 == l.fail {
		return errors.New("the disk is full")
	}
	var ids []string
	for _, u := range units {
		ids = append(ids, u.ID)
	}
	l.pieces, l.places, l.drops = append(l.pieces, ids), append(l.places, place), l.drops+len(drop)
	return nil
}

// States are saved in pieces, so that a ticket need not wait for all of them; the place after which a restart
// begins only with the last.
func TestStatesAreSavedInPieces(t *testing.T) {
	place := faultline.Place{Stream: "s", Sequence: 9}
	var units []Unit
	for i := range 10 {
		units = append(units, Unit{ID: fmt.Sprint(i), State: make([]byte, savePiece/4)})
	}
	units = append(units, Unit{ID: partitionUnit, Place: place})
	for _, c := range []struct {
		name   string
		whole  bool
		fail   int
		pieces []int
		failed bool
	}{
		{"in pieces", false, 0, []int{4, 4, 3}, false},
		{"with the book, at once", true, 0, []int{11}, false},
		{"the second piece fails", false, 2, []int{4}, true},
	} {
		p := newPlant(t, loadLibrary(t))
		p.position("P-1", "centrifugal_pump", faultline.CriticalityC)
		l := &piecesLease{Lease: p.lease, fail: c.fail}
		p.worker.lease = l
		err := p.worker.saver.write(t.Context(), units, []string{"gone"}, place, c.whole)
		if (err != nil) != c.failed || len(l.pieces) != len(c.pieces) {
			t.Fatalf("%s: %v %v", c.name, err, l.pieces)
		}
		for i, n := range c.pieces {
			last := !c.failed && i == len(c.pieces)-1
			if len(l.pieces[i]) != n || (l.places[i] == place) != last || (l.pieces[i][n-1] == partitionUnit) != last {
				t.Errorf("%s: piece %d: %v up to %v", c.name, i, l.pieces[i], l.places[i])
			}
		}
		if (l.drops == 1) == c.failed {
			t.Errorf("%s: %d units were dropped", c.name, l.drops)
		}
	}
}
