package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	faultline "github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/internal/store"
)

// DeadGroups is groups of dead letters.
type DeadGroups struct {
	Items   []faultline.DeadGroup `json:"items"`
	Dropped int64                 `json:"dropped" about:"letters that were dropped by the limits of number and age, of all sites; 0 for those who see only some"`
}

// DeadChoice says which dead letters: those of a group, or single ones.
type DeadChoice struct {
	IDs   []int64 `json:"ids,omitempty" about:"at most 100"`
	Group string  `json:"group,omitempty" about:"all that are kept of this group"`
}

// Replayed is what became of dead letters that were written again.
type Replayed struct {
	Written int           `json:"written"`
	Refused []DeadRefusal `json:"refused"`
}

// DeadRefusal is why a dead letter is refused still.
type DeadRefusal struct {
	ID     int64  `json:"id"`
	Reason string `json:"reason"`
}

// Dropped is how many dead letters were forgotten.
type Dropped struct {
	Dropped int64 `json:"dropped"`
}

func (s *Server) listDeadLetters(c *call) (any, error) {
	limit, offset, err := c.paging()
	if err != nil {
		return nil, err
	}
	rows, total, err := c.store.FindDeadLetters(c.Request.Context(), store.DeadLetterFilter{Site: c.Query("site"), Gateway: c.Query("gateway"), Group: c.Query("group"), Limit: limit, Offset: offset})
	if err != nil {
		return nil, err
	}
	return cut(rows, total, limit, offset), nil
}

func (s *Server) listDeadGroups(c *call) (any, error) {
	limit, err := c.integer("limit", 100, 1, pageLimit)
	if err != nil {
		return nil, err
	}
	groups, dropped, err := c.store.DeadGroups(c.Request.Context(), limit)
	if err != nil {
		return nil, err
	}
	return DeadGroups{groups, dropped}, nil
}

func (s *Server) postReplay(c *call) (any, error) {
	var choice DeadChoice
	if err := c.readJSON(&choice); err != nil {
		return nil, err
	}
	return s.replayLetters(c, choice)
}

func (s *Server) postDrop(c *call) (any, error) {
	var choice DeadChoice
	if err := c.readJSON(&choice); err != nil {
		return nil, err
	}
	return s.dropLetters(c, choice)
}

// chosen finds the letters of a choice, as far as the caller sees them, and tells the audit of them.
func (s *Server) chosen(c *call, choice DeadChoice) ([]faultline.DeadLetter, error) {
	switch {
	case (choice.Group == "") == (len(choice.IDs) == 0):
		return nil, invalid("say which dead letters: group, or ids")
	case len(choice.IDs) > store.KeptOfGroup:
		return nil, invalid("ids: at most %d at once", store.KeptOfGroup)
	}
	letters, _, err := c.store.FindDeadLetters(c.Request.Context(), store.DeadLetterFilter{IDs: choice.IDs, Group: choice.Group, Limit: store.KeptOfGroup})
	if err != nil {
		return nil, err
	}
	if len(letters) == 0 {
		return nil, fmt.Errorf("%w: these dead letters", faultline.ErrNotFound)
	}
	first := &letters[len(letters)-1]
	c.note(short(fmt.Sprintf("%d dead letters of %s/%s, from id %d on, group %s", len(letters), first.Site, first.Gateway, first.ID, first.Group)))
	return letters, nil
}

// replayLetters writes letters again. The audit's entry follows what was done: each letter that is taken
// is forgotten by itself.
func (s *Server) replayLetters(c *call, choice DeadChoice) (Replayed, error) {
	done := Replayed{Refused: []DeadRefusal{}}
	letters, err := s.chosen(c, choice)
	if err != nil {
		return done, err
	}
	if s.replay == nil {
		return done, &status{http.StatusServiceUnavailable, "this server does not write to InfluxDB"}
	}
	written, refused, err := s.replay(c.Request.Context(), letters)
	done.Written = len(written)
	for i := range letters {
		if why, is := refused[letters[i].ID]; is {
			done.Refused = append(done.Refused, DeadRefusal{letters[i].ID, why})
		}
	}
	c.note(fmt.Sprintf("%d written, %d refused still", len(written), len(refused)))
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("dead letters not replayed to their end", "written", len(written), "error", err)
		return done, &status{http.StatusServiceUnavailable, fmt.Sprintf("%d of %d dead letters were written, then InfluxDB or the store did not answer: try again later", len(written), len(letters))}
	}
	return done, err
}

func (s *Server) dropLetters(c *call, choice DeadChoice) (Dropped, error) {
	letters, err := s.chosen(c, choice)
	if err != nil {
		return Dropped{}, err
	}
	ids := make([]int64, len(letters))
	for i := range letters {
		ids[i] = letters[i].ID
	}
	n, err := c.store.ForgetDeadLetters(c.Request.Context(), ids...)
	return Dropped{n}, err
}
