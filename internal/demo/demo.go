// Package demo invents questions and answers that look natural, so that a newcomer sees a living feed without any file.
//
// The one thing to know: a Generator is a plain sequence. The same seed gives the same events, Next never waits, and pacing and
// publishing are the caller's.
package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/answerfeed/answerfeed/app/event"
)

// Event is one event, ready to be published.
type Event struct {
	Topic   string
	Payload []byte // canonical and valid; the receiver may keep it
	ID      string // the payload's event_id
}

const (
	remembered   = 200  // questions that may still be answered, and answers that may still be removed
	questions    = 0.22 // share of questions among the events
	removals     = 0.02 // share of removals
	silent       = 0.15 // share of questions that nobody ever answers
	popular      = 0.06 // share of questions that draw a burst of answers
	attraction   = 0.8  // share of the events that go to the popular question while its burst lasts
	anonymous    = 0.03 // share of posts without an author
	bursts       = 8    // the least answers of a burst; the most are three times as many
	askers       = 900  // authors of questions
	answerers    = 80   // authors of answers, a few of them far busier than the rest
	zipfExponent = 1.2  // how much busier
)

// Generator makes up one event after the other. It is for one goroutine at a time, and remembers no more than a few hundred posts
// however long it runs.
type Generator struct {
	seed    uint64
	now     func() time.Time
	rand    *rand.Rand
	busy    *rand.Zipf
	courses []course
	made    int        // events so far
	open    []*asked   // questions that may be answered, oldest first
	live    []answered // answers that may be removed
	burst   *asked     // the popular question of the moment
	left    int        // answers that its burst still has
	err     error
}

// asked is a question that may be answered.
type asked struct {
	id    string
	kind  *thread
	fill  filling
	first int // which of the thread's answers comes first; the others follow in turn
	given int // answers so far
}

type answered struct{ id, question string }

// New returns a Generator whose events are decided by seed and happen at now(), which must not be far from the true time.
// Generators of different seeds share no id; two of the same seed share all.
func New(seed uint64, now func() time.Time) *Generator {
	r := rand.New(rand.NewPCG(seed, 0))
	return &Generator{
		seed: seed, now: now, rand: r, busy: rand.NewZipf(r, zipfExponent, 2, answerers-1),
		courses: []course{mathematics(), biology(), history(), geography(), physics(), chemistry(), english(), computing()},
	}
}

// Next returns the next event. It never blocks. After a failure, which Err tells, it returns the zero Event.
func (g *Generator) Next() Event {
	if g.err != nil {
		return Event{}
	}
	g.made++
	e, err := g.next()
	if err != nil {
		g.err = fmt.Errorf("make up event %d: %w", g.made, err)
		return Event{}
	}
	return e
}

// Err returns why Next stopped making events, or nil. There is one way to fail: a clock beyond what the contract of events allows.
func (g *Generator) Err() error { return g.err }

func (g *Generator) next() (Event, error) {
	if g.left > 0 && g.chance(attraction) {
		g.left--
		return g.answer(g.burst)
	}
	switch share := g.rand.Float64(); {
	case len(g.open) == 0 || share < questions:
		return g.question()
	case share < questions+removals && len(g.live) > 0:
		return g.removal()
	}
	x := g.rand.Float64() // the cube prefers the newest
	return g.answer(g.open[len(g.open)-1-int(x*x*x*float64(len(g.open)))])
}

func (g *Generator) question() (Event, error) {
	c := one(g.rand, g.courses)
	kind := &c.threads[g.rand.IntN(len(c.threads))]
	q := &asked{id: g.id("q"), kind: kind, fill: kind.fill(g.rand), first: g.rand.IntN(len(kind.answers))}
	if !g.chance(silent) {
		g.open = remember(g.open, q)
		if g.left == 0 && g.chance(popular) {
			g.burst, g.left = q, bursts+g.rand.IntN(2*bursts+1)
		}
	}
	added := event.QuestionAdded{
		QuestionID: q.id,
		Title:      join(one(g.rand, prefaces()), q.fill.in(one(g.rand, kind.titles))),
		Excerpt:    join(q.fill.in(one(g.rand, kind.details)), one(g.rand, pleas())),
		Subject:    c.subject,
		Grade:      one(g.rand, kind.grades),
		AuthorID:   g.author(g.rand.IntN(askers)),
		OccurredAt: g.now(),
		EventID:    g.id(""),
	}
	payload, err := added.Encode()
	return Event{Topic: event.TopicQuestionAdded, Payload: payload, ID: added.EventID}, err
}

func (g *Generator) answer(q *asked) (Event, error) {
	text := one(g.rand, echoes())
	if q.given < len(q.kind.answers) {
		text = q.fill.in(q.kind.answers[(q.first+q.given)%len(q.kind.answers)])
		text = join(one(g.rand, openings()), text, one(g.rand, endings()))
	}
	q.given++
	added := event.AnswerAdded{
		AnswerID:   g.id("a"),
		QuestionID: q.id,
		AuthorID:   g.author(int(g.busy.Uint64())),
		Excerpt:    text,
		OccurredAt: g.now(),
		EventID:    g.id(""),
	}
	g.live = remember(g.live, answered{added.AnswerID, q.id})
	payload, err := added.Encode()
	return Event{Topic: event.TopicAnswerAdded, Payload: payload, ID: added.EventID}, err
}

func (g *Generator) removal() (Event, error) {
	i := g.rand.IntN(len(g.live))
	removed := event.AnswerRemoved{
		AnswerID:   g.live[i].id,
		QuestionID: g.live[i].question,
		Reason:     one(g.rand, reasons()),
		OccurredAt: g.now(),
		EventID:    g.id(""),
	}
	g.live = slices.Delete(g.live, i, i+1)
	payload, err := removed.Encode()
	return Event{Topic: event.TopicAnswerRemoved, Payload: payload, ID: removed.EventID}, err
}

// id names what the current event is about. With the seed in it, it is unique across runs that have seeds of their own.
func (g *Generator) id(kind string) string {
	return fmt.Sprintf("demo-%d-%s%d", g.seed, kind, g.made)
}

// author returns a stable name for person n, or "" now and then.
func (g *Generator) author(n int) string {
	if g.chance(anonymous) {
		return ""
	}
	names := firstNames()
	return fmt.Sprintf("%s%d", names[n%len(names)], 10+n*7%90)
}

func (g *Generator) chance(p float64) bool { return g.rand.Float64() < p }

func one[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// remember appends v, and forgets the oldest when there are too many.
func remember[T any](list []T, v T) []T {
	if len(list) == remembered {
		list = slices.Delete(list, 0, 1)
	}
	return append(list, v)
}
