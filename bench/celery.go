package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/bench/effect"
)

const (
	celeryQueue     = "bench-celery"
	celeryProcesses = 8
	// celeryLook is how often the effects of Celery's are counted.
	celeryLook = 20 * time.Millisecond
	// celeryWithin bounds its end.
	celeryWithin = 15 * time.Second
	// celeryPackages is how to get it.
	celeryPackages = "Debian: apt-get install celery python3-psycopg2"
)

//go:embed answers.py
var answersPy []byte

// celery is Celery as the machine has it.
type celery struct {
	b       *bench
	version string
}

// findCelery returns an error that says what is missing.
func findCelery(ctx context.Context, b *bench) (*celery, error) {
	if b.Database != database.Postgres {
		return nil, errors.New("its task writes to PostgreSQL alone")
	}
	python, err := celeryPython(ctx)
	if err != nil {
		return nil, err
	}
	const versions = "import celery, psycopg2; print(celery.__version__, 'with psycopg2', psycopg2.__version__.split()[0])"
	out, err := exec.CommandContext(ctx, python, "-c", versions).Output()
	if err != nil {
		return nil, fmt.Errorf("%s has not both celery and psycopg2 (%s)", python, celeryPackages)
	}
	return &celery{b: b, version: strings.TrimSpace(string(out))}, os.WriteFile(filepath.Join(b.dir, "answers.py"), answersPy, 0o600)
}

// celeryPython is the Python beside the command celery, whose script runs
// whichever comes first in the search path.
func celeryPython(ctx context.Context) (string, error) {
	command, err := exec.LookPath("celery")
	if err != nil {
		return "", fmt.Errorf("the command celery is not installed (%s)", celeryPackages)
	}
	if python := filepath.Join(filepath.Dir(command), "python3"); exec.CommandContext(ctx, python, "--version").Run() == nil {
		return python, nil
	}
	return "python3", nil
}

// fill puts n tasks into a durable classic queue: Celery knows no quorum queue
// before 5.5.
func (c *celery) fill(ctx context.Context, n int) (err error) {
	ch, err := c.b.conn.Channel()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ch.Close()) }()
	if _, err := ch.QueueDeclare(celeryQueue, true, false, false, false, nil); err != nil {
		return err
	}
	msgs := make([]amqp.Publishing, n)
	for i := range msgs {
		if msgs[i], err = celeryTask(i); err != nil {
			return err
		}
	}
	return c.b.publishBare(ctx, "", celeryQueue, msgs)
}

func (c *celery) empty() error { return c.b.emptied(celeryQueue) }

// celeryTask is an answer as a message of Celery's protocol 2.
func celeryTask(n int) (amqp.Publishing, error) {
	m, err := answer(n)
	if err != nil {
		return amqp.Publishing{}, err
	}
	body, err := json.Marshal([]any{[]json.RawMessage{json.RawMessage(m.Payload)}, struct{}{}, struct{}{}})
	return amqp.Publishing{
		Headers:     amqp.Table{"lang": "py", "task": "answers.added", "id": m.UUID, "root_id": m.UUID, "argsrepr": "", "kwargsrepr": ""},
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent,
		CorrelationId: m.UUID, Body: body,
	}, err
}

// openCelery counts the effects of a Celery worker of its own.
func openCelery(ctx context.Context, j job, db *database.DB, handled *atomic.Int64) (consumer, error) {
	python, err := celeryPython(ctx)
	if err != nil {
		return consumer{}, err
	}
	cmd := exec.CommandContext(ctx, python, "-W", "ignore", "-m", "celery", "--app", "answers", "--workdir", j.Dir, "worker", "--queues", celeryQueue,
		"--pool", "prefork", "--concurrency", strconv.Itoa(celeryProcesses), "--loglevel", "ERROR",
		"--without-gossip", "--without-mingle", "--without-heartbeat")
	cmd.Env = append(os.Environ(), "BENCH_BROKER="+j.URL, "BENCH_DSN="+j.DSN, "BENCH_QUEUE="+celeryQueue)
	cmd.Dir = j.Dir
	var said bytes.Buffer
	cmd.Stderr = &said // it also says that it ends
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = celeryWithin
	ended := make(chan struct{})
	return consumer{
		start: func() error {
			if err := cmd.Start(); err != nil {
				return err
			}
			go countEffects(ctx, db, handled, ended)
			return nil
		},
		stop: func() error {
			if cmd.Process == nil {
				return nil
			}
			close(ended)
			if err := cmd.Cancel(); err != nil {
				return fmt.Errorf("stopping Celery: %w", err)
			}
			if err := cmd.Wait(); handled.Load() == 0 {
				return fmt.Errorf("nothing took effect: %w: %s", err, said.String())
			}
			return nil // it says how it was ended
		},
	}, nil
}

// countEffects keeps handled at the number of answers that took effect.
func countEffects(ctx context.Context, db *database.DB, handled *atomic.Int64, ended <-chan struct{}) {
	tick := time.NewTicker(celeryLook)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if n, err := effect.Count(ctx, db); err == nil {
			handled.Store(int64(n))
		}
	}
}
