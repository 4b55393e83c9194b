package feed

import (
	"database/sql"

	"github.com/answerfeed/answerfeed/app/database"
)

// What differs by dialect is here, and only here.
//
// A list of keys comes in as one JSON array, k.key being the place in the
// array, k.value the key. SQLite has one writer, so reading needs no lock; on
// a server the touched question rows must be inserted where they are missing,
// and locked in the order of the list, before they are read. Texts compare
// bytewise, as Go's do: BINARY, which is SQLite's own way, or COLLATE "C".
const (
	keys       = `json_each($1) AS k`
	pairFirst  = `k.value->>0`
	pairSecond = `k.value->>1`
)

// by makes SQLite use an index, and fail rather than do without. Left to
// itself it takes questions_newest for a subject of which there is little, and
// goes through everybody's questions to find it.
func by(index string) string { return " INDEXED BY " + index }

const (
	readQuestions = `
SELECT k.key, q.asked_at, q.version_at, q.version_digest, q.subject, q.grade, q.author_id,
       q.answer_count, q.first_answered_at, q.first_answer_id, q.last_answer_at, q.title, q.excerpt
FROM ` + keys + ` CROSS JOIN questions q WHERE q.question_id = k.value`

	readAnswers = `
SELECT k.key, a.removed, a.answered_at, a.version_at, a.version_digest, a.author_id, a.excerpt
FROM ` + keys + ` CROSS JOIN answers a WHERE a.question_id = ` + pairFirst + ` AND a.answer_id = ` + pairSecond

	// The first and the last answer of questions that have one.
	readEnds = `
SELECT k.key,
       (SELECT answered_at FROM answers WHERE question_id = k.value AND NOT removed ORDER BY answered_at, answer_id LIMIT 1),
       (SELECT answer_id FROM answers WHERE question_id = k.value AND NOT removed ORDER BY answered_at, answer_id LIMIT 1),
       (SELECT answered_at FROM answers WHERE question_id = k.value AND NOT removed ORDER BY answered_at DESC, answer_id DESC LIMIT 1)
FROM ` + keys

	dropSubjects = `DELETE FROM subjects WHERE questions = 0 AND subject IN (SELECT k.value FROM ` + keys + `)`
)

const (
	insertQuestion = `
INSERT INTO questions (question_id, asked_at, version_at, version_digest, subject, grade, author_id, title, excerpt,
    answered, answer_count, first_answered_at, first_answer_id, last_answer_at)`
	updateQuestion = `
ON CONFLICT (question_id) DO UPDATE SET asked_at = excluded.asked_at, version_at = excluded.version_at,
    version_digest = excluded.version_digest, subject = excluded.subject, grade = excluded.grade, author_id = excluded.author_id,
    title = excluded.title, excerpt = excluded.excerpt, answered = excluded.answered,` + setTally

	// updateTally leaves answered alone and so touches no index; updateTurn
	// is for the rows where it changed.
	insertTally = `
INSERT INTO questions (question_id, answered, answer_count, first_answered_at, first_answer_id, last_answer_at)`
	updateTally = `ON CONFLICT (question_id) DO UPDATE SET` + setTally
	updateTurn  = `ON CONFLICT (question_id) DO UPDATE SET answered = excluded.answered,` + setTally
	setTally    = `
    answer_count = excluded.answer_count, first_answered_at = excluded.first_answered_at,
    first_answer_id = excluded.first_answer_id, last_answer_at = excluded.last_answer_at`

	insertAnswer = `
INSERT INTO answers (question_id, answer_id, removed, answered_at, version_at, version_digest, author_id, excerpt)`
	updateAnswer = `
ON CONFLICT (question_id, answer_id) DO UPDATE SET removed = excluded.removed, answered_at = excluded.answered_at,
    version_at = excluded.version_at, version_digest = excluded.version_digest,
    author_id = excluded.author_id, excerpt = excluded.excerpt`

	insertSubject = `INSERT INTO subjects (subject, questions, unanswered)`
	addSubject    = `
ON CONFLICT (subject) DO UPDATE SET questions = subjects.questions + excluded.questions,
    unanswered = subjects.unanswered + excluded.unanswered`
)

// writing is the prepared statements of the writing side.
type writing struct {
	questions, answers, ends, drop       *sql.Stmt
	question, tally, turn, answer, count database.Bulk
}

func prepareWriting(s *database.Statements) writing {
	return writing{
		questions: s.One(readQuestions),
		answers:   s.One(readAnswers),
		ends:      s.One(readEnds),
		drop:      s.One(dropSubjects),
		question:  s.Bulk(insertQuestion, 14, updateQuestion),
		tally:     s.Bulk(insertTally, 6, updateTally),
		turn:      s.Bulk(insertTally, 6, updateTurn),
		answer:    s.Bulk(insertAnswer, 8, updateAnswer),
		count:     s.Bulk(insertSubject, 3, addSubject),
	}
}
