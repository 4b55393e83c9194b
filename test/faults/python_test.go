package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

// pythonQuestion is what the site in Python gets answers to.
const pythonQuestion = "q1"

// A site in Python stores its answers in a table of its own, each in one
// transaction with its event; the worker relays them to wherever its queues are.
func TestPythonSite(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); pythonSite(t, onPostgres(t, sharedDatabase(t))) })
	t.Run("AMQP", func(t *testing.T) {
		t.Parallel()
		pythonSite(t, onAMQP(t, sharedBroker(t)).with(tablesIn(sharedDatabase(t))))
	})
}

func pythonSite(t *testing.T, p place) {
	w := p.start(t)
	question, err := event.QuestionAdded{
		QuestionID: pythonQuestion, Title: "Why?", Subject: "physics", Grade: "school", OccurredAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}.Encode()
	require.NoError(t, err)
	(&ledger{events: []ledgerEvent{{event.TopicQuestionAdded, question}}}).publish(t, p.open(t), 0, 1)

	// The second line's event is too large: answerfeed_publish refuses it, and with
	// it the answer that was stored a moment before. The third is what no database
	// takes, the fourth is cut off.
	var input bytes.Buffer
	const n = 100
	for i := range n {
		fmt.Fprintf(&input, `{"question_id":"q1","author_id":"ünï %d","text":"\"it's\" %d"}`+"\n", i%3, i)
		if i == 0 {
			fmt.Fprintf(&input, `{"question_id":"q1","author_id":"%s","text":"x"}`+"\n", strings.Repeat("x", event.MaxPayload))
			input.WriteString(`{"question_id":"q1","author_id":"eve","text":"\u0000"}` + "\n" + `{"question_id":"q1"` + "\n")
		}
	}
	cmd := exec.CommandContext(t.Context(), pythonWithDriver(t), "../../examples/clients/answer_postgres.py", "--dsn", p.settings["database.dsn"])
	cmd.Stdin = &input
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%v\n%s", err, &problems)
	require.Contains(t, problems.String(), "line 2 was refused: answerfeed_publish: data is larger")
	require.Contains(t, problems.String(), "line 3 was refused")
	require.Contains(t, problems.String(), "line 4 is no object")
	told := strings.Fields(string(out))
	require.Len(t, told, n)

	db := p.reader(t)
	var stored int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM python_answers`).Scan(&stored))
	require.Equal(t, n, stored)
	var heard []string
	require.Eventually(t, func() bool {
		heard = w.answersTo(t, pythonQuestion)
		return len(heard) == n
	}, within, 20*time.Millisecond)
	require.ElementsMatch(t, told, heard)
	w.drained(t)
	w.noLetters(t)
}

// pythonWithDriver is a Python that has a driver for PostgreSQL: the system's, or
// the first on the path.
func pythonWithDriver(t testing.TB) string {
	t.Helper()
	var problems []byte
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		for _, driver := range []string{"psycopg", "psycopg2"} {
			out, err := exec.CommandContext(t.Context(), python, "-c", "import "+driver).CombinedOutput()
			if err == nil {
				return python
			}
			problems = append(problems, out...)
		}
	}
	require.FailNow(t, "no Python with psycopg or psycopg2; on Debian: apt-get install python3-psycopg2", string(problems))
	return ""
}

// answersTo are the ids of a question's answers, none while it is not known.
func (w *worker) answersTo(t testing.TB, question string) (ids []string) {
	t.Helper()
	response, err := http.Get(w.base + "/api/questions/" + question)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var page struct {
		Answers []struct {
			AnswerID string `json:"answer_id"`
		} `json:"answers"`
	}
	if response.StatusCode != http.StatusNotFound {
		require.NoError(t, json.Unmarshal(body, &page))
	}
	for _, a := range page.Answers {
		ids = append(ids, a.AnswerID)
	}
	return ids
}

// Whatever moment it is killed at: an event exactly where there is an answer.
func TestPythonSite_Killed(t *testing.T) {
	t.Parallel()
	const kills = 10
	p := onPostgres(t, sharedDatabase(t))
	w := p.start(t)
	w.terminated(t) // it has made the tables; the events stay in the outbox
	told := map[string]bool{}
	for i := range kills {
		cmd := exec.CommandContext(t.Context(), pythonWithDriver(t), "../../examples/clients/answer_postgres.py", "--dsn", p.settings["database.dsn"])
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var author sync.WaitGroup
		author.Go(func() { // until it is killed
			for n := 0; ; n++ {
				if _, err := fmt.Fprintf(in, `{"question_id":"q1","author_id":"ada","text":"%d-%d"}`+"\n", i, n); err != nil {
					return
				}
			}
		})
		first := make([]byte, 1)
		_, err = io.ReadFull(out, first)
		require.NoError(t, err)
		atSomeMoment(i)
		require.NoError(t, cmd.Process.Kill())
		rest, err := io.ReadAll(out)
		require.NoError(t, err)
		author.Wait()
		_ = cmd.Wait()
		lines := strings.Split(string(first)+string(rest), "\n")
		for _, id := range lines[:len(lines)-1] {
			told[id] = true
		}
	}
	db := p.reader(t)
	column := func(query string) (ids []string) {
		rows, err := db.QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var id string
			require.NoError(t, rows.Scan(&id))
			ids = append(ids, id)
		}
		require.NoError(t, rows.Err())
		return ids
	}
	stored := column(`SELECT answer_id FROM python_answers`)
	require.ElementsMatch(t, stored, column(`SELECT convert_from(payload, 'UTF8')::jsonb ->> 'answer_id' FROM outbox`))
	require.GreaterOrEqual(t, len(told), kills)
	for id := range told {
		require.Contains(t, stored, id)
	}
	t.Logf("killed %d times: %d answers, each with its event", kills, len(stored))
}
