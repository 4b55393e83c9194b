package feed

import (
	"encoding/json"

	"github.com/answerfeed/answerfeed/app/database"
)

// SQLite has one writer, so nothing need be locked. A list of keys comes in as
// one JSON array, k.key being the place in the array, k.value the key.
const (
	sqliteQuestions = `
SELECT k.key, ` + questionColumns + ` FROM json_each($1) AS k CROSS JOIN questions WHERE question_id = k.value`

	sqliteAnswers = `
SELECT k.key, ` + answerColumns + ` FROM json_each($1) AS k CROSS JOIN answers
WHERE question_id = k.value->>0 AND answer_id = k.value->>1`

	// The first and the last answer of questions that have one.
	sqliteEnds = `
SELECT k.key,
       (SELECT answered_at FROM answers WHERE question_id = k.value AND NOT removed ORDER BY answered_at, answer_id LIMIT 1),
       (SELECT answer_id FROM answers WHERE question_id = k.value AND NOT removed ORDER BY answered_at, answer_id LIMIT 1),
       (SELECT answered_at FROM answers WHERE question_id = k.value AND NOT removed ORDER BY answered_at DESC, answer_id DESC LIMIT 1)
FROM json_each($1) AS k`

	sqliteDrop = `DELETE FROM subjects WHERE questions = 0 AND subject IN (SELECT k.value FROM json_each($1) AS k)`
)

func prepareSQLite(s *database.Statements) writing {
	answer := s.Bulk(insertAnswer, 8, updateAnswer)
	return writing{
		questions: s.One(sqliteQuestions),
		answers:   s.One(sqliteAnswers),
		ends:      s.One(sqliteEnds),
		drop:      s.One(sqliteDrop),
		question:  s.Bulk(insertQuestion, 14, updateQuestion),
		asked:     s.Bulk(insertAsked, 2, updateAsked),
		tally:     s.Bulk(insertTally, 6, updateTally),
		turn:      s.Bulk(insertTally, 6, updateTurn),
		newAnswer: answer,
		answer:    answer,
		count:     s.Bulk(insertSubject, 3, addSubject),
		values:    asJSON,
	}
}

// asJSON writes ["q1","q2"], and [["q1","a1"],["q2","a2"]] of two columns.
func asJSON(list keys) ([]any, error) {
	var document any = list[0]
	if len(list) == 2 {
		pairs := make([][2]string, len(list[0]))
		for i := range pairs {
			pairs[i] = [2]string{list[0][i], list[1][i]}
		}
		document = pairs
	}
	text, err := json.Marshal(document)
	return []any{string(text)}, err
}

// by makes SQLite use an index, and fail rather than do without. Left to
// itself it takes questions_newest for a subject of which there is little, and
// goes through everybody's questions to find it. PostgreSQL cannot be told.
func by(driver, index string) string {
	if driver == database.SQLite {
		return " INDEXED BY " + index
	}
	return ""
}
