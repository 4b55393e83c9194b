package fleet

import "time"

// State is what this process knows of another worker.
type State int

// The states.
const (
	Unknown State = iota
	Alive
	Dead
)

const (
	// deadLooks in a row must find the same number of beats, over deadAfter.
	deadLooks = 10
	deadAfter = 10 * time.Second
)

// observer decides by beats which workers are dead. Time is that of this
// process, which no change of a clock moves.
type observer struct {
	looks int64 // that this process has begun
	seen  map[string]*sighting
}

// sighting is what was seen of one worker.
type sighting struct {
	beats int64
	// last and before are the looks that found the newest beat, and the one
	// before it.
	last, before int64
	since        time.Time // of the first look that found these beats
	same         int       // looks in a row that found no others
}

func newObserver() *observer { return &observer{seen: map[string]*sighting{}} }

// begin starts a look: what is read from now on belongs to it.
func (o *observer) begin() { o.looks++ }

// failed forgets how long others were silent: this process could not have
// heard them.
func (o *observer) failed() {
	for _, s := range o.seen {
		s.same = 0
	}
}

// end takes what the look has found.
func (o *observer) end(now time.Time, workers []*Worker) {
	found := make(map[string]*sighting, len(workers))
	for _, w := range workers {
		s := o.seen[w.ID]
		switch {
		case s == nil:
			s = &sighting{beats: w.beats, since: now}
		case s.beats != w.beats:
			s.beats, s.last, s.before, s.same = w.beats, o.looks, s.last, 0
		}
		if s.same == 0 {
			s.since = now
		}
		s.same++
		found[w.ID] = s
	}
	o.seen = found
}

// silent reports that the worker's beats have ended.
func (s *sighting) silent(now time.Time) bool {
	return s.same > deadLooks && now.Sub(s.since) >= deadAfter
}
