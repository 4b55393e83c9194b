package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/feed"
	"github.com/answerfeed/answerfeed/internal/leaderboard"
)

// told is what a saga came to, by the site's own table.
type told struct{ id, question, author, text, state string }

func sagas(ctx context.Context, db *database.DB) ([]told, error) {
	return rows(ctx, db, `SELECT answer_id, question_id, author_id, body, state FROM saga_answers`, func(s *told) []any {
		return []any{&s.id, &s.question, &s.author, &s.text, &s.state}
	})
}

// rows reads all rows, whose columns go to where columns says.
func rows[T any](ctx context.Context, db *database.DB, query string, columns func(*T) []any) (all []T, err error) {
	rows, err := db.Read().QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t T
		if err := rows.Scan(columns(&t)...); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// text is the columns of a query for one text.
func text(s *string) []any { return []any{s} }

func ids(ctx context.Context, db *database.DB, query string) (map[string]bool, error) {
	all, err := rows(ctx, db, query, text)
	set := map[string]bool{}
	for _, id := range all {
		if set[id] {
			return nil, fmt.Errorf("%s is there twice: %s", id, query)
		}
		set[id] = true
	}
	return set, err
}

// atRest returns what is wrong with a database in which nothing is under way any
// more: each saga must be complete or wholly undone, and what follows from them
// must be everywhere. takenBack are answers whose authors were told that they
// are gone.
func atRest(ctx context.Context, db *database.DB, questions []string, takenBack map[string]bool) (accepted, undone int, wrong error) {
	all, err := sagas(ctx, db)
	if err != nil {
		return 0, 0, err
	}
	live, inQuestion, ofAuthor, points := map[string]bool{}, map[string]int{}, map[string]int{}, map[string]int{}
	for _, s := range all {
		switch {
		case s.state == statePending:
			wrong = errors.Join(wrong, fmt.Errorf("%s is pending", s.id))
		case s.state == stateAccepted && (condemned(s.text) || takenBack[s.id]):
			wrong = errors.Join(wrong, fmt.Errorf("%s is accepted: %s", s.id, s.text))
		case s.state == stateAccepted:
			live[s.id], inQuestion[s.question], ofAuthor[s.author], points[s.author] = true, inQuestion[s.question]+1, ofAuthor[s.author]+1, points[s.author]+pointsEach
		}
	}
	equal := func(what string, want any, got any, err error) {
		if err != nil || !reflect.DeepEqual(want, got) {
			wrong = errors.Join(wrong, err, fmt.Errorf("%s: %v where %v is right", what, got, want))
		}
	}
	got, err := ids(ctx, db, `SELECT answer_id FROM saga_grants WHERE live`)
	equal("answers with points", live, got, err)
	got, err = ids(ctx, db, `SELECT answer_id FROM answers WHERE NOT removed`)
	equal("answers in the feed", live, got, err)
	got, err = ids(ctx, db, `SELECT answer_id FROM leaderboard_answers WHERE NOT removed`)
	equal("answers on the leaderboard", live, got, err)
	letters, err := ids(ctx, db, `SELECT id FROM dead_letters`)
	equal("dead letters", map[string]bool{}, letters, err)
	gotPoints, err := steps{db: db}.allPoints(ctx)
	equal("points", points, gotPoints, err)

	counted, unanswered, err := counters(ctx, db, questions)
	maps.DeleteFunc(counted, func(_ string, n int) bool { return n == 0 })
	equal("answers of questions", inQuestion, counted, err)
	equal("unanswered questions", len(questions)-len(inQuestion), unanswered, err)
	byAuthor, err := top(ctx, db)
	equal("the leaderboard", ofAuthor, byAuthor, err)
	return len(live), len(all) - len(live), wrong
}

// counters are each question's number of answers, and the subject's of questions
// without any.
func counters(ctx context.Context, db *database.DB, questions []string) (answers map[string]int, unanswered int, err error) {
	store, err := feed.New(db, database.Durable)
	if err != nil {
		return nil, 0, err
	}
	defer store.Close()
	answers = map[string]int{}
	for _, q := range questions {
		item, listed, err := store.Question(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		if answers[q] = item.AnswerCount; len(listed) != item.AnswerCount || item.Answered != (len(listed) > 0) {
			return nil, 0, fmt.Errorf("question %s counts %d answers and lists %d", q, item.AnswerCount, len(listed))
		}
	}
	subjects, err := store.Subjects(ctx)
	for _, s := range subjects {
		unanswered += s.Unanswered
	}
	return answers, unanswered, err
}

func top(ctx context.Context, db *database.DB) (map[string]int, error) {
	store, err := leaderboard.New(db, database.Durable)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	authors, err := store.Top(ctx, leaderboard.MaxLimit)
	answers := map[string]int{}
	for _, a := range authors {
		answers[a.AuthorID] = a.Answers
	}
	return answers, err
}
