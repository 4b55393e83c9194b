package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"modernc.org/sqlite"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// childVariable makes this test binary the program, which kills itself where the
// variable says: see mortal. "never" is nowhere. withinVariable is the time that
// moderation has there.
const (
	childVariable  = "WORKER_TEST_SAGA_DIES"
	withinVariable = "WORKER_TEST_SAGA_WITHIN"
)

// The servers of all tests, started when the first asks for them.
var (
	postgres = sync.OnceValues(func() (*testserver.Postgres, error) { return testserver.SharedPostgres(context.Background()) })
	broker   = sync.OnceValues(func() (*testserver.RabbitMQ, error) { return testserver.SharedRabbitMQ(context.Background()) })
)

func TestMain(m *testing.M) {
	var dies mortal
	// Triggers of the kill test call it, in the middle of the program's transactions.
	sqlite.MustRegisterScalarFunction("saga_step", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		dies.reached(fmt.Sprint(args[0]))
		return nil, nil
	})
	if where := os.Getenv(childVariable); where != "" {
		os.Exit(child(&dies, where))
	}
	code := m.Run()
	if p, err := postgres(); err == nil {
		_ = p.Stop()
	}
	if b, err := broker(); err == nil {
		_ = b.Stop()
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// mortal kills its process when it has reached something of which the name has
// all its words for the nth time.
type mortal struct {
	words []string // none: it does not
	n     int64
	seen  atomic.Int64
}

func (d *mortal) reached(what string) {
	for _, w := range d.words {
		if !strings.Contains(what, w) {
			return
		}
	}
	if len(d.words) > 0 && d.seen.Add(1) == d.n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing happens any more
	}
}

// Write takes log lines, which come after the commit of what they tell of.
func (d *mortal) Write(line []byte) (int, error) {
	d.reached("logged " + string(line))
	return os.Stderr.Write(line)
}

// child is the program, configured by its environment.
func child(dies *mortal, where string) int {
	if where != "never" {
		dies.words = strings.Split(where, "|")
		dies.n = 1
		if second, again := strings.CutSuffix(where, "|again"); again {
			dies.words, dies.n = strings.Split(second, "|"), 2
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, []string{"-listen", "127.0.0.1:0", "-within", os.Getenv(withinVariable)}, os.Stdout, dies); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// newDatabase is a migrated SQLite file.
func newDatabase(t *testing.T) (db *database.DB, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "saga.db")
	return open(t, database.Config{Driver: database.SQLite, DSN: file}), file
}

func open(t *testing.T, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	require.NoError(t, createTables(t.Context(), db))
	return db
}

func update(t *testing.T, db *database.DB, fn func(ctx context.Context, tx *sql.Tx) error) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), database.Durable, fn))
}

// ask publishes questions by the outbox, as another site would.
func ask(t *testing.T, db *database.DB, questions ...string) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *sql.Tx) error {
		for _, q := range questions {
			err := outbox.Publish(ctx, tx, event.TopicQuestionAdded, event.QuestionAdded{
				QuestionID: q, Title: "Why?", Subject: "physics", Grade: "school", OccurredAt: time.Now(), EventID: "asked-" + q,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// browser talks to a site, which may die in the middle.
type browser struct {
	site   string
	client *http.Client
}

func newBrowser(site string) browser {
	return browser{strings.TrimSuffix(site, "/"), &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}}
}

func (b browser) do(t *testing.T, method, path, correlation string, form url.Values) (reply map[string]any, status int, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.site+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set(correlationHeader, correlation)
	response, err := b.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	if response.StatusCode < 300 {
		err = json.NewDecoder(response.Body).Decode(&reply)
	}
	return reply, response.StatusCode, err
}

// answer posts an answer and returns its id.
func (b browser) answer(t *testing.T, question, author, text, correlation string) (id string, err error) {
	t.Helper()
	reply, status, err := b.do(t, http.MethodPost, "/questions/"+question+"/answers", correlation, url.Values{"author": {author}, "text": {text}})
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("the site answered %d", status)
	}
	id, _ = reply["answer_id"].(string)
	return id, err
}

// takeBack removes an answer for its author.
func (b browser) takeBack(t *testing.T, question, id string) error {
	t.Helper()
	reply, status, err := b.do(t, http.MethodDelete, "/questions/"+question+"/answers/"+id, "", nil)
	if err == nil && (status != http.StatusOK || reply["state"] != stateUndone) {
		err = fmt.Errorf("the site answered %d, %v", status, reply["state"])
	}
	return err
}

// texts are what authors write: most of it is accepted, some refused, and on
// some moderation is silent.
func texts() []string {
	return []string{"Short waves scatter more.", "Ask a physicist.", "Because of Rayleigh.", "Buy spam!", "More spam", "Hmm.", "hmm hmm"}
}

func condemned(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{"spam", "hmm"}, func(w string) bool { return strings.Contains(text, w) })
}
