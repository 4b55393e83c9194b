package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/app/outbox"
)

// bench is the steps without the worker around them.
type bench struct {
	steps
	t *testing.T
}

func newBench(t *testing.T) bench {
	t.Helper()
	db, _ := newDatabase(t)
	return bench{steps{db, slog.New(slog.DiscardHandler)}, t}
}

// stored is a new saga of ada's.
func (b bench) stored(id string) {
	b.t.Helper()
	update(b.t, b.db, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, b.db.SQL(insertSaga), id, "q1", "ada", "text", time.Now().UnixMicro(), "c-"+id)
		return err
	})
}

// at is the context of a handler with a message of this event.
func at(t *testing.T, handler, topic string, e outbox.Event) context.Context {
	payload, err := e.Encode()
	require.NoError(t, err)
	return event.WithMessage(context.Background(), event.NewMessage(topic, handler, "c", payload, ""))
}

// sent are the events in the outbox, as "topic event_id correlation_id".
func (b bench) sent() []string {
	b.t.Helper()
	all, err := rows(b.t.Context(), b.db, `SELECT topic || ' ' || json_extract(CAST(payload AS TEXT), '$.event_id') || ' ' || json_extract(metadata, '$.correlation_id') FROM outbox ORDER BY id`, text)
	require.NoError(b.t, err)
	return all
}

func (b bench) points() int {
	b.t.Helper()
	all, err := b.allPoints(b.t.Context())
	require.NoError(b.t, err)
	return all["ada"]
}

func (b bench) state(id string) (state string) {
	b.t.Helper()
	require.NoError(b.t, b.db.Read().QueryRowContext(b.t.Context(), b.db.SQL(readSaga), id).Scan(&state))
	return state
}

// Moderation, deadline and author may meet in any order, and each event may come
// twice: the first to come decides, and tells of it once.
func TestSteps_TheFirstDecides(t *testing.T) {
	approve := func(b bench, ok bool) {
		e := moderated{AnswerID: "a1", QuestionID: "q1", Approved: ok, EventID: "moderated-a1"}
		require.NoError(t, b.decide(at(t, "decision", topicModerated, e), e))
	}
	deadline := func(b bench) {
		s := site{steps: b.steps, within: time.Second}
		require.NoError(t, s.undoOverdue(t.Context()))
	}
	back := func(b bench) {
		require.NoError(t, b.undo(begun(t.Context(), "site", "c"), takeSagaBack, "a1", "q1", "taken back"))
	}
	removed := func(b bench) {
		e := event.AnswerRemoved{AnswerID: "a1", QuestionID: "q1", OccurredAt: time.Now(), EventID: "removed-elsewhere"}
		require.NoError(t, b.removed(at(t, "decision", event.TopicAnswerRemoved, e), e))
	}
	for name, test := range map[string]struct {
		do    func(b bench)
		state string
		sent  []string
	}{
		"approved, twice":             {func(b bench) { approve(b, true); approve(b, true) }, stateAccepted, []string{"answer-accepted accepted-a1 c"}},
		"refused, twice":              {func(b bench) { approve(b, false); approve(b, false) }, stateUndone, []string{"answer-removed removed-a1 c"}},
		"approved too late":           {func(b bench) { deadline(b); approve(b, true); deadline(b) }, stateUndone, []string{"answer-removed removed-a1 c-a1"}},
		"approved, then the deadline": {func(b bench) { approve(b, true); deadline(b) }, stateAccepted, []string{"answer-accepted accepted-a1 c"}},
		"taken back before":           {func(b bench) { back(b); approve(b, true); back(b) }, stateUndone, []string{"answer-removed removed-a1 c"}},
		"taken back after":            {func(b bench) { approve(b, true); back(b) }, stateUndone, []string{"answer-accepted accepted-a1 c", "answer-removed removed-a1 c"}},
		"removed elsewhere":           {func(b bench) { removed(b); approve(b, true); removed(b) }, stateUndone, nil},
		"removed once accepted":       {func(b bench) { approve(b, true); removed(b) }, stateUndone, []string{"answer-accepted accepted-a1 c"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.stored("a1")
			test.do(b)
			require.Equal(t, test.state, b.state("a1"))
			require.Equal(t, test.sent, b.sent())
		})
	}
}

// A verdict on an answer that another site stored changes nothing.
func TestSteps_AnotherSitesAnswer(t *testing.T) {
	b := newBench(t)
	e := moderated{AnswerID: "a9", QuestionID: "q1", Approved: true, EventID: "moderated-a9"}
	require.NoError(t, b.decide(at(t, "decision", topicModerated, e), e))
	require.Empty(t, b.sent())
}

// Points follow from the set of events, whatever their order and however often
// they come.
func TestPoints_Converge(t *testing.T) {
	b := newBench(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		before := b.points()
		removed, live := map[int]bool{}, map[int]bool{}
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 9), 1, 30).Draw(rt, "events") {
			answer := fmt.Sprintf("a%d-%d", run, step/2)
			if step%2 == 0 {
				live[step/2] = true
				e := accepted{AnswerID: answer, QuestionID: "q1", AuthorID: "ada", EventID: "accepted-" + answer}
				require.NoError(rt, b.grant(at(t, "points", topicAccepted, e), e))
			} else {
				removed[step/2] = true
				e := event.AnswerRemoved{AnswerID: answer, QuestionID: "q1", OccurredAt: time.Now(), EventID: "removed-" + answer}
				require.NoError(rt, b.takeBack(at(t, "points", event.TopicAnswerRemoved, e), e))
			}
		}
		want := 0
		for answer := range live {
			if !removed[answer] {
				want += pointsEach
			}
		}
		require.Equal(rt, want, b.points()-before)
	})
}

func TestModerate_Words(t *testing.T) {
	options := moderationOptions{Refuse: []string{"spam", "ad"}, Silent: []string{"hmm"}}
	for words, want := range map[string]string{"Fine.": "1", "My SPAM": "0", "an AD": "0", "Hmm, spam": "", "": "1"} {
		t.Run(words, func(t *testing.T) {
			b := newBench(t)
			e := event.AnswerAdded{AnswerID: "a1", QuestionID: "q1", Excerpt: words, OccurredAt: time.Now(), EventID: "added-a1"}
			for range 2 {
				require.NoError(t, b.moderate(at(t, "moderation", event.TopicAnswerAdded, e), e, options))
			}
			verdicts, err := rows(t.Context(), b.db, `SELECT json_extract(CAST(payload AS TEXT), '$.approved') FROM outbox`, text)
			require.NoError(t, err)
			require.Equal(t, want, strings.Join(verdicts, ","))
		})
	}
}

func TestDecode_RefusesWhatBreaksTheContract(t *testing.T) {
	const good = `{"answer_id":"a","question_id":"q","author_id":"u","approved":true,"occurred_at":"2026-01-02T03:04:05Z"}`
	m, err := decodeModerated([]byte(good))
	require.NoError(t, err)
	require.True(t, m.Approved)
	a, err := decodeAccepted([]byte(good))
	require.NoError(t, err)
	require.Equal(t, "u", a.AuthorID)
	for name, test := range map[string]struct {
		payload string
		reason  failure.Reason
	}{
		"no JSON":       {"answer", failure.Malformed},
		"invalid UTF-8": {strings.Replace(good, `"a"`, "\"\xff\"", 1), failure.Malformed},
		"null":          {"null", failure.Invalid},
		"no answer":     {strings.Replace(good, `"a"`, `""`, 1), failure.Invalid},
		"long question": {strings.Replace(good, `"q"`, `"`+strings.Repeat("q", 129)+`"`, 1), failure.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			for _, decode := range []func() error{
				func() error { _, err := decodeModerated([]byte(test.payload)); return err },
				func() error { _, err := decodeAccepted([]byte(test.payload)); return err },
			} {
				verdict := failure.Classify(decode())
				require.Equal(t, failure.KindPermanent, verdict.Kind)
				require.Equal(t, test.reason, verdict.Reason)
			}
		})
	}
}
