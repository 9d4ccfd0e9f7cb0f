package console

import (
	"strconv"

	"github.com/faultline-iot/faultline"
)

// NewTicket is the page of the form that opens a ticket by hand.
type NewTicket struct {
	Title, Text, Assignee, Received, Due string
	Improvement                          bool
	Places, Urgencies                    []Option
	People                               []string // who it may be given to
}

func (NewTicket) template() string { return "new_ticket" }

// AmendForm corrects a ticket.
type AmendForm struct {
	Assignee, Received, Reason    string
	Urgencies, Impacts, Contracts []Option
	People                        []string
	Open                          bool
}

// Urgencies are the choices of urgency; 2 unless one is chosen.
func Urgencies(chosen int) []Option {
	if chosen == 0 {
		chosen = 2
	}
	out := []Option{{Value: "3", Text: text("3: production stopped, or may stop before planned work")}, {Value: "2", Text: text("2: degraded")}, {Value: "1", Text: text("1: no effect yet")}}
	for i := range out {
		out[i].Chosen = out[i].Value == strconv.Itoa(chosen)
	}
	return out
}

// Impact names what an asset means to its plant.
func Impact(c faultline.Criticality) string {
	switch c {
	case faultline.CriticalityA:
		return text("A: stops the plant")
	case faultline.CriticalityB:
		return text("B: hinders it")
	}
	return text("C: does not")
}
