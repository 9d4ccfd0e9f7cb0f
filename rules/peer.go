package rules

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/faultline-iot/faultline"
	"github.com/faultline-iot/faultline/rules/kind"
)

// Assets are compared by what the stream says of them, so that a replay compares them at the same place with
// the same figures. Each rule sums up its own windows; once those of a window are over, the owner of the
// partition puts them into the stream as one command, and each asset is judged when it is read.
//
// What a crash leaves: the command is in the stream or it is not. If not, the next owner finds the window
// over and puts it in; if so, a second one for the same window is no news to a rule that has compared it.

// peerKey names assets that are compared: of a kind, at a site, by a rule.
type peerKey struct {
	site, kind, rule string
	within           time.Duration
}

// peerGroup is the assets of a key that the worker knows.
type peerGroup struct {
	peerKey
	members []peerMember // by position
	told    int64        // number of the last window that was put into the stream, or is about to be
	ripe    int64        // of the newest that is over and was usable for one of them
	since   time.Time    // when it was first seen to be, in hub time
}

type peerMember struct {
	unit     *unit
	rule     *instance
	comparer kind.Comparer
}

// groupPeers finds what is compared, anew whenever units or their rules have changed.
func (w *worker) groupPeers() {
	known := map[peerKey]*peerGroup{}
	w.peers = w.peers[:0]
	for _, u := range w.order {
		for _, r := range u.rules {
			c, ok := kind.AsComparer(r.kind)
			if !ok {
				continue
			}
			key := peerKey{u.position.Site, u.position.Kind, r.name, c.Window()}
			g := known[key]
			if g == nil {
				g = &peerGroup{peerKey: key}
				known[key] = g
				w.peers = append(w.peers, g)
			}
			g.members = append(g.members, peerMember{u, r, c})
			g.told = max(g.told, c.Compared())
		}
	}
	for _, g := range w.peers {
		slices.SortFunc(g.members, func(a, b peerMember) int { return cmp.Compare(a.unit.position.ID, b.unit.position.ID) })
	}
}

// commandID is the same whoever finds the window over.
func (g *peerGroup) commandID(window int64) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%s\x00%d", g.site, g.kind, g.rule, g.within)
	return fmt.Sprintf("peers-%x-%d", h.Sum64(), window)
}

// patience is how long a window waits for those whose own is not over yet.
func (g *peerGroup) patience() time.Duration {
	return min(max(g.within/10, 5*time.Second), time.Minute)
}

// gatherPeers finds the windows that are over for all that are compared, or for long enough for one of
// them. When that is need not be the same in a replay: what counts is where the command stands.
func (w *worker) gatherPeers() {
	for _, g := range w.peers {
		ripe, all := int64(0), true
		for _, m := range g.members {
			last, _ := m.comparer.Closed()
			ripe = max(ripe, last.Window)
		}
		if ripe <= g.told {
			continue
		}
		if ripe != g.ripe {
			g.ripe, g.since = ripe, w.now
		}
		p := &faultline.PeerWindow{Rule: g.rule, Kind: g.kind, Within: g.within, Window: ripe}
		for _, m := range g.members {
			last, over := m.comparer.Closed()
			all = all && over >= ripe
			if last.Window == ripe {
				p.Means = append(p.Means, faultline.PeerMean{Position: m.unit.position.ID, Value: last.Value, Load: last.Load})
			}
		}
		if !all && w.now.Sub(g.since) < g.patience() {
			continue
		}
		g.told = ripe
		w.shares.put(g.peerKey, faultline.Command{Verb: faultline.VerbPeers, At: w.now.UTC(), By: w.engine.Owner, Site: g.site, Peers: p,
			ID: g.commandID(ripe)})
	}
}

// compare judges every asset of a window that has not seen the command yet.
func (w *worker) compare(m *faultline.Message, c *faultline.Command) {
	p := c.Peers
	if p == nil {
		w.engine.metrics.commands.WithLabelValues("refused").Inc()
		return
	}
	w.engine.metrics.commands.WithLabelValues("done").Inc()
	key := peerKey{c.Site, p.Kind, p.Rule, p.Within}
	w.shares.came(key, p.Window)
	i := slices.IndexFunc(w.peers, func(g *peerGroup) bool { return g.peerKey == key })
	if i < 0 {
		return // of a rule that is no more
	}
	g := w.peers[i]
	g.told = max(g.told, p.Window)
	all := make([]kind.Summary, len(p.Means))
	for j, mean := range p.Means {
		all[j] = kind.Summary{Window: p.Window, Value: mean.Value, Load: mean.Load}
	}
	for _, member := range g.members {
		u := member.unit
		if u.seen(m.Place) {
			continue
		}
		u.place = m.Place
		own, others := (*kind.Summary)(nil), all
		if j := slices.IndexFunc(p.Means, func(mean faultline.PeerMean) bool { return mean.Position == u.position.ID }); j >= 0 {
			own, others = &all[j], slices.Concat(all[:j], all[j+1:])
		}
		at := time.Unix(0, u.frameAt).UTC() // the asset's time stands where its last frame left it
		w.effects = u.judge(w.effects, member.rule, member.comparer.Compare(p.Window, own, others), at, w.now, w.now.Sub(at) > faultline.LateAfter)
		u.noteDown(m.Place)
	}
}

// shares are windows that are to be put into the stream, the newest of each key.
type shares struct {
	mu      sync.Mutex
	waiting map[peerKey]faultline.Command
}

func (s *shares) put(key peerKey, c faultline.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = map[peerKey]faultline.Command{}
	}
	s.waiting[key] = c
}

// came notes that the stream has a window.
func (s *shares) came(key peerKey, window int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.waiting[key]; ok && c.Peers.Window <= window {
		delete(s.waiting, key)
	}
}

// list gives what waits, in the order of the commands' ids.
func (s *shares) list() []faultline.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []faultline.Command
	for _, c := range s.waiting {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b faultline.Command) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// take gives what waits, which then waits no more.
func (s *shares) take() []faultline.Command {
	list := s.list()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.waiting)
	return list
}

// share puts windows into the partition's stream, until ctx ends. One that has waited for a second already
// is not one that a replay is about to read.
func (e *Engine) share(ctx context.Context, w *worker) {
	waited, sent := map[string]bool{}, map[string]time.Time{}
	for pause(ctx, followEvery) {
		next := map[string]bool{}
		for _, c := range w.shares.list() {
			next[c.ID] = true
			if !waited[c.ID] || time.Since(sent[c.ID]) < orderAgain {
				continue
			}
			if err := e.Source.Order(ctx, w.partition, c); err != nil {
				if ctx.Err() == nil {
					e.metrics.retries.WithLabelValues("order").Inc()
				}
				continue
			}
			sent[c.ID] = time.Now()
		}
		for id := range sent {
			if !next[id] {
				delete(sent, id)
			}
		}
		waited = next
	}
}
