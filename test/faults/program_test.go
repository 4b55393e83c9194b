package faults

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// programVariable makes a test binary a worker in the working directory, with
// the usual handlers and those below that it names, with commas between.
const programVariable = "WORKER_TEST_PROGRAM"

const (
	// topicCounted is taken by the handler "counter", which appends each
	// message's identity to the file effects.
	topicCounted = "counted"
	effects      = "effects"
	// topicSick is taken by the handler "sick", which does the same as soon as
	// there is a file healed, and until then fails for the moment.
	topicSick = "sickened"
	healed    = "healed"
	// topicKept is taken by the handler "keeper", which appends each message's
	// identity to the table kept, in one transaction with the inbox's note of
	// it: an effect that came twice would be two rows.
	topicKept = "kept"
)

// program runs that worker until SIGTERM.
func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := runProgram(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runProgram(ctx context.Context) error {
	// One write of a few bytes in append mode is whole or not there, also
	// when the process is killed.
	out, err := os.OpenFile(effects, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	all := handlers.All()
	for _, h := range []handlers.Handler{counter(out), sick(out), keeper(), sleeper()} {
		if slices.Contains(strings.Split(os.Getenv(programVariable), ","), h.Name) {
			all = append(all, h)
		}
	}
	loaded, err := config.Load(config.Options{Handlers: app.Declare(all), Overrides: map[string]any{"web.listen": "127.0.0.1:0"}})
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Options{Config: loaded.Config, Handlers: all, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
}

type counterOptions struct {
	// Pause is how long each message takes, so that there is always work to
	// interrupt. Defaults to 20 ms.
	Pause time.Duration `yaml:"pause"`
}

func counter(out *os.File) handlers.Handler {
	return handlers.Handler{Name: "counter", Options: &counterOptions{20 * time.Millisecond}, Topics: func(env handlers.Env) []handlers.Topic {
		options := env.Options.(*counterOptions)
		count := func(ctx context.Context, _ []byte) error {
			<-time.After(options.Pause)
			_, err := fmt.Fprintln(out, event.MessageOf(ctx).Identity())
			return err
		}
		return []handlers.Topic{{Name: topicCounted, Handle: count}}
	}}
}

func sick(out *os.File) handlers.Handler {
	handle := func(ctx context.Context, _ []byte) error {
		if _, err := os.Stat(healed); err != nil {
			return failure.Transient(err)
		}
		_, err := fmt.Fprintln(out, event.MessageOf(ctx).Identity())
		return err
	}
	return handlers.Handler{Name: "sick", Topics: func(handlers.Env) []handlers.Topic {
		return []handlers.Topic{{Name: topicSick, Handle: handle}}
	}}
}

func keeper() handlers.Handler {
	exec := func(query string, args ...any) func(context.Context, *sql.Tx) error {
		return func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		}
	}
	return handlers.Handler{
		Name: "keeper",
		Migrate: func(ctx context.Context, db *database.DB) error {
			return db.Update(ctx, database.Durable, exec(`CREATE TABLE IF NOT EXISTS kept (id TEXT NOT NULL)`))
		},
		Topics: func(env handlers.Env) []handlers.Topic {
			keep := func(ctx context.Context, _ []byte) error {
				id := event.MessageOf(ctx).Identity()
				return env.DB.Once(ctx, "keeper", topicKept, id, exec(env.DB.SQL(`INSERT INTO kept (id) VALUES ($1)`), id))
			}
			return []handlers.Topic{{Name: topicKept, Handle: keep}}
		},
	}
}

// sleeper is a handler of a slow neighbour: 10 s a message.
func sleeper() handlers.Handler {
	sleep := func(ctx context.Context, _ event.AnswerAdded) error {
		select {
		case <-time.After(10 * time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return handlers.Handler{Name: "sleeper", Topics: func(handlers.Env) []handlers.Topic {
		return []handlers.Topic{handlers.On(event.TopicAnswerAdded, event.DecodeAnswerAdded, sleep)}
	}}
}
