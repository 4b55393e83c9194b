package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// paceLimit is how much faster than the time that a worker saw pass the time
// of forgetting may go, to catch up after workers were stopped.
const paceLimit = 2

// pace is what this process knows of the time of forgetting: where it stood,
// and when, by the monotonic clock, it was seen there.
type pace struct {
	mu    sync.Mutex
	until int64
	at    time.Time
}

// nowExpr is the database's clock as an expression, with the placeholder that
// takes what goes with it.
func (db *DB) nowExpr(placeholder string) (expr string, arg any) {
	if db.driver == Postgres {
		return `((extract(epoch FROM clock_timestamp()) * 1000000)::bigint + CAST(` + placeholder + ` AS BIGINT))`, db.ahead.Microseconds()
	}
	return placeholder, time.Now().Add(db.ahead).UnixMicro()
}

const forgetUntil = `COALESCE((SELECT until FROM forgetting WHERE id = 1), 0)`

// stampExpr is the moment to note with what is forgotten by age: never one of
// before the time of forgetting, as a clock that went back would give.
func (db *DB) stampExpr(placeholder string) (expr string, arg any) {
	now, arg := db.nowExpr(placeholder)
	if db.driver == Postgres {
		return `greatest(` + now + `, ` + forgetUntil + `)`, arg
	}
	return `max(` + now + `, ` + forgetUntil + `)`, arg
}

// Stamp is the moment to note, in a transaction, with what is forgotten by
// age: by the database's clock.
func (db *DB) Stamp(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var at int64
	expr, arg := db.stampExpr("$1")
	if err := tx.QueryRowContext(ctx, db.SQL(`SELECT `+expr), arg).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("asking the database's clock: %w", err)
	}
	return time.UnixMicro(at).UTC(), nil
}

// PassTime moves the time of forgetting on, up to the database's clock, but by
// no more than twice the time since this process last saw it where it still
// is: so a clock that jumps forgets nothing. Workers call it every minute. It
// returns that time, and how far the clock is ahead of it.
func (db *DB) PassTime(ctx context.Context) (until time.Time, ahead time.Duration, err error) {
	db.pace.mu.Lock()
	defer db.pace.mu.Unlock()
	var seen time.Time // after whoever moved it last, and before who does next
	var have, now int64
	err = db.Update(ctx, Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		lock := ""
		if db.driver == Postgres {
			lock = " FOR UPDATE"
		}
		if err := tx.QueryRowContext(ctx, `SELECT until FROM forgetting WHERE id = 1`+lock).Scan(&have); err != nil {
			return err
		}
		seen = time.Now()
		expr, arg := db.nowExpr("$1")
		if err := tx.QueryRowContext(ctx, db.SQL(`SELECT `+expr), arg).Scan(&now); err != nil {
			return err
		}
		if have != db.pace.until || db.pace.at.IsZero() { // another moved it, or this is the first time
			return nil
		}
		next := max(have, min(now, have+paceLimit*seen.Sub(db.pace.at).Microseconds()))
		if next == have {
			return nil
		}
		have = next
		_, err := tx.ExecContext(ctx, db.SQL(`UPDATE forgetting SET until = $1 WHERE id = 1`), next)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, 0, errors.New("the table forgetting is empty; nothing is forgotten: INSERT INTO forgetting VALUES (1, microseconds since 1970)")
	}
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("moving the time of forgetting on: %w", err)
	}
	if have != db.pace.until || db.pace.at.IsZero() {
		db.pace.at = seen
	}
	db.pace.until = have
	return time.UnixMicro(have).UTC(), time.Duration(max(now-have, 0)) * time.Microsecond, nil
}
