package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// silent is an address that takes connections and never answers, as a server
// does that is frozen.
func silent(t *testing.T) string {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			conn, err := at.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { require.NoError(t, at.Close()); <-done })
	return at.Addr().String()
}

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	port, err := testserver.FreePort()
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// A verb whose server is away ends within 5 s, and says which it is.
func TestVerbs_EndSoonWhenWhatTheyNeedIsAway(t *testing.T) {
	here(t)
	write(t, "events.ndjson", answerLine(1))
	write(t, "Posts.xml", "<posts/>")
	verbs := [][]string{
		{"publish", "events.ndjson"}, {"import", "stackexchange", "Posts.xml"}, {"backlog"}, {"migrate"}, {"relay"},
		{"deadletters", "list"}, {"deadletters", "requeue", "--all", "--yes"}, {"health"},
	}
	var all sync.WaitGroup
	for name, server := range map[string]func(*testing.T) string{"nothing listens": nobody, "it is silent": silent} {
		for _, kind := range []string{"sql", "amqp"} {
			for _, verb := range verbs {
				db, broker, web := server(t), "", server(t)
				if kind == "amqp" {
					broker = server(t)
				}
				config := filepath.Join(t.TempDir(), "worker.yaml")
				write(t, config, serversConfig(broker, db, web))
				want := port(db)
				switch {
				case verb[0] == "health":
					want = "the worker does not answer"
				case kind == "amqp" && slices.Contains([]string{"publish", "import", "backlog"}, verb[0]):
					want = port(broker)
				}
				all.Go(func() {
					var said output
					began := time.Now()
					code := Run(t.Context(), stock(Options{Args: append(slices.Clone(verb), "--config", config), Err: &said}))
					what := fmt.Sprintf("%s, %s, %v: %s", name, kind, verb, said.String())
					assert.Less(t, time.Since(began), 5*time.Second, what)
					assert.Equal(t, exitFailed, code, what)
					assert.NotContains(t, said.String(), "secret", what)
					assert.Contains(t, lastLine(said.String()), want, what)
				})
			}
		}
	}
	all.Wait()
}

// serversConfig has the queues on a broker, or on the database where broker is "".
func serversConfig(broker, db, web string) string {
	dsn := "postgres://me:secret@" + db + "/x"
	text := fmt.Sprintf("web: {listen: '%s'}\ndatabase: {driver: postgres, dsn: '%s'}\n", web, dsn)
	if broker != "" {
		return text + fmt.Sprintf("transport: {kind: amqp, amqp: {url: 'amqp://me:secret@%s/'}}\n", broker)
	}
	return text + fmt.Sprintf("transport: {sql: {driver: postgres, dsn: '%s'}}\n", dsn)
}

// port is the port of an address, which errors tell in one form or another.
func port(address string) string {
	if _, port, err := net.SplitHostPort(address); err == nil {
		return port
	}
	return address
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// lazy is a server that starts with the first test that asks for it.
type lazy[S any] struct {
	once   sync.Once
	start  func(context.Context) (S, error)
	stop   func(S) error
	server S
	err    error
	began  bool
}

func (l *lazy[S]) get(t *testing.T) S {
	t.Helper()
	l.once.Do(func() { l.began = true; l.server, l.err = l.start(context.Background()) })
	require.NoError(t, l.err)
	return l.server
}

func (l *lazy[S]) end() error {
	if !l.began || l.err != nil {
		return l.err
	}
	return l.stop(l.server)
}

var (
	broker   = &lazy[*testserver.RabbitMQ]{start: testserver.SharedRabbitMQ, stop: (*testserver.RabbitMQ).Stop}
	postgres = &lazy[*testserver.Postgres]{start: testserver.SharedPostgres, stop: (*testserver.Postgres).Stop}
)

// On RabbitMQ publishing and counting need no database.
func TestRabbitMQ_PublishesAndCountsWithoutTheDatabase(t *testing.T) {
	here(t)
	url := broker.get(t).URL
	config := func(dsn string) string {
		return fmt.Sprintf("transport: {kind: amqp, prefix: 'cli%d-', amqp: {url: '%s'}}\ndatabase: {driver: postgres, dsn: '%s'}\n", os.Getpid(), url, dsn)
	}
	db := nobody(t)
	write(t, "worker.yaml", config("postgres://me@"+db+"/x"))
	write(t, "events.ndjson", answerLine(1))
	require.Equal(t, result{exitDone, "", "published 1, refused 0\n"}, worker(t, "publish", "events.ndjson"))

	r := worker(t, "backlog")
	require.Equal(t, exitDone, r.code, r.err)
	require.Regexp(t, `(?m)^feed +answer-added +1 +0 +0 +\? +0s$`, r.out)
	require.NotContains(t, r.out, "(outbox)")
	require.Contains(t, r.err, "without dead letters and outbox, since the database could not be asked: ")
	require.Contains(t, r.err, port(db))
	r = worker(t, "backlog", "-o", "json")
	require.Equal(t, exitDone, r.code, r.err)
	var counted map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.out), &counted))
	require.NotContains(t, counted, "outbox")
	require.NotContains(t, counted["queues"].([]any)[0], "dead")

	// With the database there are letters, those of a handler that this program
	// does not have included.
	dsn, err := postgres.get(t).Database(t.Context())
	require.NoError(t, err)
	write(t, "worker.yaml", config(dsn))
	require.Equal(t, exitDone, worker(t, "migrate").code)
	tables, err := database.Open(t.Context(), database.Config{Driver: database.Postgres, DSN: dsn})
	require.NoError(t, err)
	defer func() { require.NoError(t, tables.Close()) }()
	store := deadletter.New(tables, database.Durable)
	defer store.Close()
	for _, handler := range []string{"feed", "digest"} {
		require.NoError(t, store.Save(t.Context(), &deadletter.Letter{
			Handler: handler, Topic: "answer-added", Identity: "e1", Reason: "invalid", Error: "boom", FirstFailedAt: time.Now(), LastFailedAt: time.Now(),
		}))
	}
	all := queues(t)
	require.EqualValues(t, 1, *all["answer-added.feed"].Dead)
	require.EqualValues(t, 1, *all["answer-added.digest"].Dead)
	require.Contains(t, worker(t, "backlog").out, "(outbox)")
}

// A handler that neither the program nor a letter has is a mistyped one.
func TestDeadletters_UnknownNamesAreRefused(t *testing.T) {
	here(t)
	dead(t, deadletter.Letter{Handler: "digest", Topic: "digest-due", Error: "boom"})
	for _, verb := range [][]string{
		{"list"}, {"groups"}, {"export"}, {"requeue", "--yes"}, {"discard", "--yes"}, {"restore", "--yes"},
	} {
		verb = append([]string{"deadletters"}, verb...)
		r := worker(t, append(slices.Clone(verb), "--handler", "fed")...)
		require.Equal(t, exitUsage, r.code, "%v", verb)
		require.Equal(t, "worker: --handler fed: there is no handler of that name here, and no letter of one; there is digest, feed, leaderboard\n", r.err)
		r = worker(t, append(slices.Clone(verb), "--topic", "answer-aded")...)
		require.Equal(t, exitUsage, r.code, "%v", verb)
		require.Contains(t, r.err, "there is answer-added, answer-removed, digest-due, question-added")
		for _, known := range []string{"feed", "digest"} {
			require.NotEqual(t, exitUsage, worker(t, append(slices.Clone(verb), "--handler", known)...).code, "%v", verb)
		}
	}
}
