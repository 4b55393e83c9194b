package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// ticking returns a clock that goes on by a second at each reading.
func ticking() func() time.Time {
	at := noon
	return func() time.Time {
		at = at.Add(time.Second)
		return at
	}
}

func TestTheSeedDecidesTheEvents(t *testing.T) {
	one, same, other := New(7, ticking()), New(7, ticking()), New(8, ticking())
	ids := map[string]bool{}
	for range 2000 {
		e := one.Next()
		require.Equal(t, e, same.Next())
		ids[e.ID] = true
	}
	require.Len(t, ids, 2000)
	for range 2000 {
		require.False(t, ids[other.Next().ID])
	}
}

// tally is what a stream of events came to.
type tally struct {
	questions, answers, removals int
	subjects, grades, titles     map[string]int
	answersOf                    map[string]int
	authors                      map[string]int
}

// follow takes events from g, and asserts that each is valid and makes sense after those before it.
func follow(t *testing.T, g *Generator, events int) tally {
	c := tally{subjects: map[string]int{}, grades: map[string]int{}, titles: map[string]int{}, answersOf: map[string]int{}, authors: map[string]int{}}
	asked := map[string]bool{}
	live := map[string]string{} // the question of each answer that is not removed
	var last time.Time
	for range events {
		e := g.Next()
		require.NoError(t, g.Err())
		require.NoError(t, event.Validate(e.Topic, e.Payload))
		require.Equal(t, e.ID, event.Identity(e.Payload, ""))
		var at time.Time
		switch e.Topic {
		case event.TopicQuestionAdded:
			q, err := event.DecodeQuestionAdded(e.Payload)
			require.NoError(t, err)
			require.False(t, asked[q.QuestionID], "a question is asked once")
			asked[q.QuestionID] = true
			c.answersOf[q.QuestionID] = 0
			c.subjects[q.Subject]++
			c.grades[q.Grade]++
			c.titles[q.Title]++
			c.questions++
			at = q.OccurredAt
		case event.TopicAnswerAdded:
			a, err := event.DecodeAnswerAdded(e.Payload)
			require.NoError(t, err)
			require.True(t, asked[a.QuestionID], "an answer comes after its question")
			require.Empty(t, live[a.AnswerID], "an answer is given once")
			live[a.AnswerID] = a.QuestionID
			c.answersOf[a.QuestionID]++
			c.authors[a.AuthorID]++
			c.answers++
			at = a.OccurredAt
		case event.TopicAnswerRemoved:
			r, err := event.DecodeAnswerRemoved(e.Payload)
			require.NoError(t, err)
			require.Equal(t, live[r.AnswerID], r.QuestionID, "what is removed was there")
			require.NotEmpty(t, r.Reason)
			delete(live, r.AnswerID)
			c.removals++
			at = r.OccurredAt
		}
		require.True(t, at.After(last), "an event happens when it is made")
		last = at
	}
	return c
}

func TestEventsAreValidAndOfAPlausibleMix(t *testing.T) {
	for _, seed := range []uint64{0, 1, 1 << 63} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			const events = 10_000
			c := follow(t, New(seed, ticking()), events)
			require.Equal(t, events, c.questions+c.answers+c.removals)
			require.InDelta(t, 0.17, float64(c.questions)/events, 0.06)
			require.InDelta(t, 0.015, float64(c.removals)/events, 0.01)
			require.Greater(t, len(c.titles)*10, c.questions*6, "most titles are new")

			require.Len(t, c.subjects, 8)
			for subject, n := range c.subjects {
				require.InDelta(t, 1.0/8, float64(n)/float64(c.questions), 0.05, subject)
			}
			require.Len(t, c.grades, 4)

			silent, popular := 0, 0
			for _, n := range c.answersOf {
				if n == 0 {
					silent++
				}
				if n > 3*bursts/2 {
					popular++
				}
			}
			require.InDelta(t, 0.2, float64(silent)/float64(c.questions), 0.1)
			require.Positive(t, popular, "some questions draw a burst")
			require.Greater(t, len(c.authors), answerers/2)
			require.NotZero(t, c.authors[""], "some authors are unknown")
			for author, n := range c.authors {
				require.Less(t, n, c.answers/4, author)
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	g := New(3, ticking())
	for range 20_000 {
		g.Next()
		require.LessOrEqual(t, len(g.open), remembered)
		require.LessOrEqual(t, len(g.live), remembered)
	}
	require.Len(t, g.open, remembered)
	require.Len(t, g.live, remembered)
	require.LessOrEqual(t, cap(g.open), 2*remembered)
	require.LessOrEqual(t, cap(g.live), 2*remembered)
}

func TestAnImpossibleClockIsAnErrorThatStays(t *testing.T) {
	at := time.Unix(0, 0)
	g := New(1, func() time.Time { return at })
	require.Equal(t, Event{}, g.Next())
	require.EqualError(t, g.Err(), "make up event 1: invalid event: occurred_at: earlier than 2000-01-01")
	at = noon
	require.Equal(t, Event{}, g.Next())
	require.Error(t, g.Err())
}

// Every text of every thread is rendered with many fillings: no slot stays open, and all fits the contract.
func TestEveryTextIsWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range New(1, ticking()).courses {
		for i, kind := range c.threads {
			t.Run(fmt.Sprintf("%s %d", c.subject, i), func(t *testing.T) {
				require.GreaterOrEqual(t, len(kind.titles), 4)
				require.GreaterOrEqual(t, len(kind.details), 3)
				require.GreaterOrEqual(t, len(kind.answers), 4)
				require.NotEmpty(t, kind.grades)
				for range 40 {
					fill := kind.fill(r)
					for slot, value := range fill {
						require.NotEmpty(t, value, slot)
					}
					for _, text := range kind.titles {
						title := fill.in(text)
						requireWhole(t, title, 150)
						require.True(t, strings.HasSuffix(title, "?"), title)
					}
					for _, text := range append(kind.details, kind.answers...) {
						requireWhole(t, fill.in(text), 400)
					}
				}
			})
		}
	}
}

func requireWhole(t *testing.T, text string, limit int) {
	t.Helper()
	require.NotContains(t, text, "{")
	require.NotContains(t, text, "}")
	require.NotContains(t, text, "  ")
	require.LessOrEqual(t, utf8.RuneCountInString(text), limit, text)
	require.Contains(t, ".?!\"", text[len(text)-1:], text)
}
