package bench

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

const (
	// maxSteps and maxHandlers are the most that any scenario has: what Clean
	// looks for.
	maxSteps, maxHandlers = 4, 5
	// maxPrefix is the most that a transport takes.
	maxPrefix = 32
	// model is the handler whose settings hold for the bench's own.
	model = "feed"
)

// errLeft: not all that was made is gone.
var errLeft = errors.New("not all that was made for the measurement is removed")

// run names what one run makes, so that it meets nothing of anybody's.
type run struct {
	id     string // 8 of a-z and 2-7
	config config.Config
	logger *slog.Logger
}

func newRun(cfg config.Config, logger *slog.Logger) run {
	return run{id: strings.ToLower(rand.Text()[:8]), config: cfg, logger: logger}
}

var validID = regexp.MustCompile(`^[a-z2-7]{8}$`)

// ValidateID reports what cannot be the id of a run.
func ValidateID(id string) error {
	if !validID.MatchString(id) {
		return fmt.Errorf("--clean %q: it must be the 8 letters and digits that a run told when it began", id)
	}
	return nil
}

// Clean removes what the run of that id made, and did not live to remove.
func Clean(ctx context.Context, cfg config.Config, id string, logger *slog.Logger) error {
	if err := ValidateID(id); err != nil {
		return err
	}
	r := run{id: id, config: cfg, logger: logger}
	var errs []error
	for step := range maxSteps {
		errs = append(errs, place{run: r, step: step + 1}.remove(ctx))
	}
	return errors.Join(errs...)
}

// place is the queues and tables of one step.
type place struct {
	run
	step int
}

// prefix is put before each name of the transport, and of the tables. It begins
// with the user's own, as far as there is room, since permissions of a broker
// may go by that.
func (p place) prefix() string {
	own := fmt.Sprintf("bench-%s-%d-", p.id, p.step)
	theirs := p.config.Transport.Prefix
	return theirs[:min(len(theirs), maxPrefix-len(own))] + own
}

// handler is the name of the n-th handler, from 1 on: also of this run alone,
// since what is kept of handlers beside the queues has no prefix.
func (p place) handler(n int) string { return fmt.Sprintf("bench-%s-%d", p.id, n) }

// table is a table of the n-th handler's, quoted.
func (p place) table(name string, n int) string {
	return fmt.Sprintf(`"%s%s_%d"`, p.prefix(), name, n)
}

// options are those of the user, for other handlers, in this place, and with
// nothing beside them.
func (p place) options(all []handlers.Handler, delay time.Duration) app.Options {
	cfg := p.config
	cfg.Transport.Prefix = p.prefix()
	cfg.Web.Listen = "127.0.0.1:0"
	cfg.Migrate = true // of this place; that the rest is migrated was looked for
	like, known := cfg.Handlers[model]
	if !known {
		like = config.DefaultHandler()
	}
	like.Enabled, like.Options = true, nil
	like.Timeout += delay
	like.Retry.Redeliver = redeliver()
	cfg.Handlers = map[string]config.Handler{}
	for _, h := range all {
		cfg.Handlers[h.Name] = like
	}
	return app.Options{Config: cfg, Handlers: all, Logger: p.logger, Guest: true}
}

// redeliver is short, since each delay is a queue on RabbitMQ.
func redeliver() []time.Duration { return []time.Duration{time.Second, 5 * time.Second} }

// remove takes back all that was made in the place, though ctx has ended.
func (p place) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin)
	defer cancel()
	var all []handlers.Handler
	for n := range maxHandlers {
		all = append(all, (&answers{place: p, n: n + 1}).handler())
	}
	err := errors.Join(app.Remove(ctx, p.options(all, 0)), p.dropTables(ctx))
	if err != nil {
		return fmt.Errorf("%w: %w; once it can be reached, run `worker bench --clean %s`", errLeft, err, p.id)
	}
	return nil
}

// dropTables drops the effect's tables.
func (p place) dropTables(ctx context.Context) (err error) {
	db, err := database.Open(ctx, database.Config(p.config.Database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		for n := range maxHandlers {
			for _, table := range []string{tableAnswers, tableQuestions} {
				if _, err := tx.ExecContext(ctx, "DROP TABLE IF EXISTS "+p.table(table, n+1)); err != nil {
					return fmt.Errorf("dropping the effect's tables: %w", err)
				}
			}
		}
		return nil
	})
}
