package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"errors"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// catchUp moves the queues' time on to what was seen. Of several processes one
// does it: the others find it done when they have the lock.
func (r *registrar) catchUp(ctx context.Context) (now int64, err error) {
	var back int64
	err = r.t.db.Update(ctx, database.Durable, func(ctx context.Context, tx *stdsql.Tx) error {
		var unused, seen int64
		err := tx.QueryRowContext(ctx, r.t.queries.lockClock).Scan(&unused)
		if err != nil && !errors.Is(err, stdsql.ErrNoRows) {
			return err
		}
		if err := tx.QueryRowContext(ctx, r.t.queries.times).Scan(&now, &seen); err != nil {
			return err
		}
		if back = seen - now; back <= clockSlack.Microseconds() {
			back = 0
			return nil
		}
		now = seen
		_, err = tx.ExecContext(ctx, r.t.queries.shift, back)
		return err
	})
	if err == nil && back > 0 {
		r.t.cfg.Logger.Warn("the database's clock went back; the queues' time goes on, so that nothing waits for the difference",
			"by", (time.Duration(back) * time.Microsecond).Round(time.Second).String())
	}
	return now, err
}

// tellOfLeap logs that the clock went ahead by more than the time that passed.
func (r *registrar) tellOfLeap(now int64, at time.Time) {
	if ahead := time.Duration(now-r.clock)*time.Microsecond - at.Sub(r.clockAt); r.clock != 0 && ahead > clockLeap {
		r.t.cfg.Logger.Warn("the database's clock leapt ahead; what was delayed comes early", "by", ahead.Round(time.Second).String())
	}
	r.clock, r.clockAt = now, at
}
