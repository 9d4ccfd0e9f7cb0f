package mqtt

import (
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
)

// sessions of the listener by client id, and which devices each has published for. A device is lost
// when the last of its sessions ends: a second client that publishes for it once and leaves says
// nothing about the first.
type sessions struct {
	mu      sync.Mutex
	current map[string]*mochi.Client
	owned   map[string]map[*device]bool
	owners  map[*device]int
}

func newSessions() *sessions {
	return &sessions{current: map[string]*mochi.Client{}, owned: map[string]map[*device]bool{}, owners: map[*device]int{}}
}

// begin makes the client the holder of its id. One that held it before is taken over, with its devices.
func (s *sessions) begin(cl *mochi.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current[cl.ID] = cl
}

// own notes that the client publishes for the devices.
func (s *sessions) own(cl *mochi.Client, routes []*route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current[cl.ID] != cl {
		return // it was taken over with this message under way: its successor has its devices
	}
	for _, rt := range routes {
		mine := s.owned[cl.ID]
		if mine == nil {
			mine = map[*device]bool{}
			s.owned[cl.ID] = mine
		}
		if !mine[rt.dev] {
			mine[rt.dev] = true
			s.owners[rt.dev]++
		}
	}
}

// end forgets the client and gives the devices that nobody publishes for any more. The broker flags a
// client as taken over only after it has ended it, hence the comparison.
func (s *sessions) end(cl *mochi.Client) (gone []*device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current[cl.ID] != cl {
		return nil
	}
	delete(s.current, cl.ID)
	for d := range s.owned[cl.ID] {
		if s.owners[d]--; s.owners[d] == 0 {
			delete(s.owners, d)
			gone = append(gone, d)
		}
	}
	delete(s.owned, cl.ID)
	return gone
}

// abandoned tells whether no session publishes for the device.
func (s *sessions) abandoned(d *device) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owners[d] == 0
}
