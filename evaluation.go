package faultline

import "time"

// Evaluation says how the desk did: tickets received in a time, their clocks, and how long it took.
// Test tickets are left out.
type Evaluation struct {
	Received int `json:"received"`
	Solved   int `json:"solved"` // of those, resolved or closed
	// Of the tickets whose clocks apply: answered in time or not, clocks still running left out.
	ResponseMet    int `json:"response_met"`
	ResponseMissed int `json:"response_missed"`
	AnswerMet      int `json:"answer_met"`
	AnswerMissed   int `json:"answer_missed"`
	// MeanResponse and MeanSolution are from received to the first answer to the customer and to
	// resolved, in seconds; 0 if there are none.
	MeanResponse float64 `json:"mean_response_s"`
	MeanSolution float64 `json:"mean_solution_s"`
}

// Evaluate sums up the tickets received from since on, as they stand at now.
func Evaluate(tickets []Ticket, since time.Time, terms func(*Ticket) ServiceTerms, now time.Time) (e Evaluation) {
	var responses, solutions time.Duration
	answered := 0
	for i := range tickets {
		t := &tickets[i]
		if t.Test || t.ReceivedAt.Before(since) {
			continue
		}
		e.Received++
		clocks := t.Clocks(terms(t), now)
		for i, c := range append(clocks.Earlier, clocks.Cycle) { // each reopening is judged too
			tally(c.Response, &e.ResponseMet, &e.ResponseMissed)
			tally(c.Answer, &e.AnswerMet, &e.AnswerMissed)
			if i == 0 && !c.Response.Stopped.IsZero() {
				answered++
				responses += c.Response.Stopped.Sub(t.ReceivedAt)
			}
		}
		if !t.ResolvedAt.IsZero() && (t.Status == StatusResolved || t.Status == StatusClosed) {
			e.Solved++
			solutions += t.ResolvedAt.Sub(t.ReceivedAt)
		}
	}
	if answered > 0 {
		e.MeanResponse = responses.Seconds() / float64(answered)
	}
	if e.Solved > 0 {
		e.MeanSolution = solutions.Seconds() / float64(e.Solved)
	}
	return e
}

func tally(c Clock, met, missed *int) {
	switch c.State {
	case ClockMet:
		*met++
	case ClockMissed, ClockOverdue:
		*missed++
	}
}
