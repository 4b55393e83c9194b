package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// killsVariable is how often the program is killed at each place; see `make
// saga-long`.
const killsVariable = "WORKER_TEST_SAGA_KILLS"

// places are where the program is killed: in each step's transaction, at its
// beginning and at its end, after its commit and before its acknowledgement; and
// after an event reached its queues, before it left the outbox.
func places() []string {
	return []string{
		// A request: nothing is committed yet; it is, and the author does not know.
		"stored", "published answer-added", "logged|answer stored", "relayed answer-added",
		"noted moderation answer-added", "published answer-moderated", "logged|answer moderated", "relayed answer-moderated",
		"noted decision answer-moderated", "state accepted", "published answer-accepted", "logged|answer decided|accepted=true", "relayed answer-accepted",
		"published answer-removed|refused by moderation", "logged|answer decided|accepted=false",
		"published answer-removed|did not answer", "logged|answer undone|did not answer",
		"published answer-removed|taken back", "logged|answer undone|taken back", "relayed answer-removed",
		"noted points answer-accepted", "points given", "logged|points granted",
		"noted points answer-removed", "points taken", "logged|points taken back",
		"noted decision answer-removed",
	}
}

// watched are triggers that tell of what the program does, in the transaction in
// which it does it.
func watched() []string {
	step := func(name, when, what string) string {
		return "CREATE TRIGGER watched_" + name + " AFTER " + when + " BEGIN SELECT saga_step(" + what + "); END"
	}
	return []string{
		step("stored", "INSERT ON saga_answers", "'stored'"),
		step("state", "UPDATE ON saga_answers", "'state ' || NEW.state"),
		step("noted", "INSERT ON inbox", "'noted ' || NEW.handler || ' ' || NEW.topic"),
		step("published", "INSERT ON outbox", "'published ' || NEW.topic || CAST(NEW.payload AS TEXT)"),
		step("relayed", "DELETE ON outbox", "'relayed ' || OLD.topic"),
		step("first", "INSERT ON saga_points", "'points given'"),
		step("points", "UPDATE ON saga_points", "CASE WHEN NEW.points > OLD.points THEN 'points given' ELSE 'points taken' END"),
	}
}

// program is the site and the worker as a process of its own.
type program struct {
	cmd     *exec.Cmd
	address chan string // closed without one when it died before it served
	ended   chan error
	log     *bytes.Buffer // once it has ended
}

// build builds this test binary without the race detector, with which SQLite is
// ten times slower, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "program")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}

func start(t *testing.T, binary, file, dies string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(binary), address: make(chan string, 1), ended: make(chan error, 1), log: &bytes.Buffer{}}
	p.cmd.Dir, p.cmd.Stderr = filepath.Dir(file), p.log
	within := "20s" // enough, mostly; what is late is undone, too
	if strings.Contains(dies, "did not answer") {
		within = "100ms"
	}
	p.cmd.Env = append(os.Environ(), childVariable+"="+dies, withinVariable+"="+within, "WORKER_DATABASE_DSN="+file, "WORKER_TRANSPORT_SQL_DSN="+file, "WORKER_WEB_LISTEN=127.0.0.1:0")
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		lines := bufio.NewScanner(out)
		for first := true; lines.Scan(); first = false {
			if first {
				p.address <- strings.TrimPrefix(lines.Text(), "serving at ")
			}
		}
		close(p.address)
		p.ended <- p.cmd.Wait()
	}()
	return p
}

// crowd answers at a site until it is gone, and takes some answers back.
type crowd struct {
	db        *database.DB
	questions []string
	takenBack map[string]bool
	posted    int
}

// use returns when the program has ended.
func (c *crowd) use(t *testing.T, p *program) error {
	t.Helper()
	late := time.After(time.Minute)
	select {
	case address, serves := <-p.address:
		for b := newBrowser(address); serves; {
			c.batch(t, b)
			select {
			case err := <-p.ended:
				return err
			case <-late:
				_ = p.cmd.Process.Kill()
				return errors.Join(errors.New("it never came to where it dies"), <-p.ended)
			case <-time.After(time.Second): // the next ones; those before may have come too late
			}
		}
	case <-late:
		_ = p.cmd.Process.Kill()
	}
	return <-p.ended
}

// batch is one answer of each text, and an accepted one taken back. What fails
// does so because the site died.
func (c *crowd) batch(t *testing.T, b browser) {
	t.Helper()
	question := c.questions[rand.IntN(len(c.questions))]
	old, err := rows(t.Context(), c.db, `SELECT answer_id, question_id FROM saga_answers WHERE state = 'accepted' ORDER BY random() LIMIT 1`,
		func(s *told) []any { return []any{&s.id, &s.question} })
	require.NoError(t, err)
	var all sync.WaitGroup
	for _, text := range texts() {
		all.Go(func() { _, _ = b.answer(t, question, "author"+strconv.Itoa(rand.IntN(5)), text, "") })
	}
	gone := make([]bool, len(old))
	for i, s := range old {
		all.Go(func() { gone[i] = b.takeBack(t, s.question, s.id) == nil })
	}
	all.Wait()
	for i, s := range old {
		if gone[i] {
			c.takenBack[s.id] = true
		}
	}
	c.posted += len(texts())
}

// Whatever step it dies in, and however often: at rest each saga is complete or
// wholly undone.
func TestSaga_KilledAtEveryStep(t *testing.T) {
	kills := 1
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		kills, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	binary := build(t)
	db, file := newDatabase(t)
	update(t, db, func(ctx context.Context, tx *sql.Tx) error {
		for _, trigger := range watched() {
			if _, err := tx.ExecContext(ctx, trigger); err != nil {
				return err
			}
		}
		return nil
	})
	c := &crowd{db: db, takenBack: map[string]bool{}}
	for n := range 20 {
		c.questions = append(c.questions, fmt.Sprintf("q%d", n))
	}
	ask(t, db, c.questions...)

	// Some complete ones first, of which authors can take some back.
	p := start(t, binary, file, "logged|points granted|again")
	requireKilled(t, p, c.use(t, p), "the first")
	for n := range kills {
		for _, i := range rand.Perm(len(places())) {
			place := places()[i]
			if n%2 == 1 {
				place += "|again"
			}
			p := start(t, binary, file, place)
			requireKilled(t, p, c.use(t, p), place)
		}
		t.Logf("killed %d times at each place, %d answers posted", n+1, c.posted)
	}

	p = start(t, binary, file, "never")
	rest(t, db)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-p.ended, p.log)
	accepted, undone, wrong := atRest(t.Context(), db, c.questions, c.takenBack)
	require.NoError(t, wrong)
	t.Logf("%d places; at rest %d answers are accepted and %d undone, %d of them taken back", len(places()), accepted, undone, len(c.takenBack))
	require.NotZero(t, accepted)
	require.NotZero(t, undone)
	require.NotEmpty(t, c.takenBack)
}

func requireKilled(t *testing.T, p *program, err error, place string) {
	t.Helper()
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "at %s it ended otherwise: %v\n%s", place, err, p.log)
}

// rest waits until nothing is under way: nothing pending, no event in the outbox,
// no message in a queue, all at one moment.
func rest(t *testing.T, db *database.DB) {
	t.Helper()
	require.Eventually(t, func() bool {
		var underWay int
		err := db.Read().QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM saga_answers WHERE state = 'pending')
			+ (SELECT count(*) FROM outbox) + (SELECT count(*) FROM queue_messages)`).Scan(&underWay)
		return err == nil && underWay == 0
	}, 2*time.Minute, 20*time.Millisecond, "it never comes to rest")
}
