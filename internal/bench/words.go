package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
)

// words tells the settings that matter, as they are and not as they should be:
// a server may be told not to flush.
func (b *bench) words(ctx context.Context) (Words, error) {
	cfg := place{run: b.run, step: 1}.options(nil, 0).Config
	like, known := b.Config.Handlers[model]
	if !known {
		like = config.DefaultHandler()
	}
	w := Words{
		Window: like.Concurrency, GroupCommit: groupCommit, PayloadBytes: b.Settings.Payload,
		Callers: callers, EachCall: eachCall(b.Settings.Payload), Rate: b.Settings.Rate,
		HandlerDelayMS: float64(b.Settings.HandlerDelay.Milliseconds()), PoisonPercent: b.Settings.PoisonPercent,
		Processors: runtime.GOMAXPROCS(0), Go: runtime.Version(),
	}
	effects, err := flushing(ctx, cfg.Database)
	if err != nil {
		return Words{}, err
	}
	w.Database = cfg.Database.Driver
	if cfg.Transport.Kind == config.KindAMQP {
		w.Transport = "amqp"
		w.Durability = "messages persistent in quorum queues; effects in " + effects
		w.Confirms = "publisher confirms, mandatory"
		w.Acknowledgement = "after the commit, many at once"
	} else {
		w.Transport = "sql on " + cfg.Transport.SQL.Driver
		messages, err := flushing(ctx, cfg.Transport.SQL)
		if err != nil {
			return Words{}, err
		}
		w.Durability = "messages in " + messages + "; effects in " + effects
		if oneFile(cfg) {
			w.Durability = "messages in " + messages + "; effects in the same file with synchronous=NORMAL, in the order of its log"
		}
		w.Confirms = "each call returns once committed"
		w.Acknowledgement = "after the commit, many in a transaction"
	}
	if like.Delivery == config.AtMostOnce {
		w.Acknowledgement = "before it is handled (at-most-once)"
	}
	return w, nil
}

// flushing tells what a durable commit in the database stands on.
func flushing(ctx context.Context, cfg config.Database) (_ string, err error) {
	if cfg.Driver == config.DriverSQLite {
		return "SQLite, WAL with synchronous=FULL", nil
	}
	db, err := database.Open(ctx, database.Config(cfg))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var version, commit, fsync string
	err = db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync')`).
			Scan(&version, &commit, &fsync)
	})
	if err != nil {
		return "", fmt.Errorf("asking the database for its settings: %w", err)
	}
	return fmt.Sprintf("PostgreSQL %s, synchronous_commit=%s, fsync=%s", version, commit, fsync), nil
}

// oneFile: transport and effects share a SQLite file.
func oneFile(cfg config.Config) bool {
	if cfg.Transport.SQL.Driver != config.DriverSQLite || cfg.Database.Driver != config.DriverSQLite {
		return false
	}
	messages, errMessages := filepath.Abs(cfg.Transport.SQL.DSN)
	effects, errEffects := filepath.Abs(cfg.Database.DSN)
	return errMessages == nil && errEffects == nil && messages == effects
}
