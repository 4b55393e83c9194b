package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/producer"
)

// ledger is a set of published events, and what they must come to.
type ledger struct {
	events []ledgerEvent

	count  map[string]int    // live answers of a question
	first  map[string]string // its first answer
	scores map[string]int    // live answers of an author
}

type ledgerEvent struct {
	topic   string
	payload []byte
}

// newLedger invents n events, shuffled: one question to four answers, one
// answer in ten removed.
func newLedger(t require.TestingT, seed uint64, n int) *ledger {
	l := &ledger{count: map[string]int{}, first: map[string]string{}, scores: map[string]int{}}
	random := rand.New(rand.NewPCG(seed, 0))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	add := func(topic string, payload []byte, err error) {
		require.NoError(t, err)
		l.events = append(l.events, ledgerEvent{topic, payload})
	}
	for q := 0; len(l.events) < n; q++ {
		question := fmt.Sprintf("q%06d", q)
		asked := start.Add(time.Duration(q) * time.Second)
		payload, err := event.QuestionAdded{
			QuestionID: question, Title: "Question " + question, Subject: fmt.Sprintf("subject-%d", q%7), Grade: "college", OccurredAt: asked,
		}.Encode()
		add(event.TopicQuestionAdded, payload, err)
		l.count[question] = 0
		for a := range 4 {
			answer, author := fmt.Sprintf("a%06d-%d", q, a), fmt.Sprintf("u%d", random.IntN(50))
			at := asked.Add(time.Duration(1+a) * time.Minute)
			payload, err := event.AnswerAdded{AnswerID: answer, QuestionID: question, AuthorID: author, OccurredAt: at}.Encode()
			add(event.TopicAnswerAdded, payload, err)
			if random.IntN(10) == 0 {
				payload, err := event.AnswerRemoved{AnswerID: answer, QuestionID: question, Reason: "test", OccurredAt: at}.Encode()
				add(event.TopicAnswerRemoved, payload, err)
				continue
			}
			if l.count[question]++; l.count[question] == 1 {
				l.first[question] = answer // they are made in the order of their times
			}
			l.scores[author]++
		}
	}
	random.Shuffle(len(l.events), func(i, j int) { l.events[i], l.events[j] = l.events[j], l.events[i] })
	return l
}

// publish publishes a part of the events.
func (l *ledger) publish(t testing.TB, client *app.Client, first, last int) {
	require.NoError(t, l.try(client, first, last))
}

func (l *ledger) try(client *app.Client, first, last int) error {
	topics := map[string][]*message.Message{}
	for _, e := range l.events[first:last] {
		topics[e.topic] = append(topics[e.topic], producer.EventMessage(e.payload))
	}
	for topic, msgs := range topics {
		if err := client.Publisher().Publish(topic, msgs...); err != nil {
			return err
		}
	}
	return nil
}

// insist publishes as a producer does whose broker goes away: a part that
// failed is published again. sent is told how many events are out.
func (l *ledger) insist(ctx context.Context, client *app.Client, first, last int, sent func(n int)) {
	const part = 100
	for n := first; n < last && ctx.Err() == nil; {
		end := min(n+part, last)
		insist(ctx, func() error { return l.try(client, n, end) })
		n = end
		sent(n - first)
	}
}

// insist tries until it succeeds, or ctx ends.
func insist(ctx context.Context, try func() error) {
	for try() != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// check holds the worker's pages against the ledger, and requires that nothing
// was dead-lettered.
func (l *ledger) check(t require.TestingT, w *worker) {
	l.pages(t, w)
	w.noLetters(t)
}

// pages holds the worker's pages against the ledger.
func (l *ledger) pages(t require.TestingT, w *worker) {
	items := w.feed(t, "")
	require.Equal(t, len(l.count), len(items), "questions in the feed") //nolint:testifylint // Len would print them all
	for _, i := range items {
		require.Equal(t, l.count[i.QuestionID], i.AnswerCount, "answers of %s", i.QuestionID)
		require.Equal(t, l.count[i.QuestionID] > 0, i.Answered, i.QuestionID)
		first := ""
		if i.FirstAnswerID != nil {
			first = *i.FirstAnswerID
		}
		require.Equal(t, l.first[i.QuestionID], first, "first answer of %s", i.QuestionID)
	}
	require.True(t, slices.IsSortedFunc(items, func(a, b item) int { return b.AskedAt.Compare(a.AskedAt) }), "newest first")

	require.Equal(t, l.scores, w.leaderboard(t), "the leaderboard")

	var subjects struct {
		Subjects []struct{ Questions, Unanswered int }
	}
	w.get(t, "/api/subjects", &subjects)
	questions, unanswered, want := 0, 0, 0
	for _, s := range subjects.Subjects {
		questions, unanswered = questions+s.Questions, unanswered+s.Unanswered
	}
	for _, n := range l.count {
		if n == 0 {
			want++
		}
	}
	require.Equal(t, len(l.count), questions, "questions of all subjects")
	require.Equal(t, want, unanswered, "unanswered questions of all subjects")
}
