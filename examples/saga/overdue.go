package main

import (
	"context"
	"database/sql"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// watch undoes the sagas that moderation did not decide in time. The deadline
// is a column and no timer, so it survives whatever dies; any number of
// processes may watch.
func (s *site) watch(ctx context.Context) error {
	tick := time.NewTicker(min(max(s.within/10, 10*time.Millisecond), 5*time.Second))
	defer tick.Stop()
	for {
		if err := s.undoOverdue(ctx); err != nil && ctx.Err() == nil {
			s.logger.ErrorContext(ctx, "overdue answers could not be undone; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// undoOverdue undoes up to 100 sagas, each in a transaction.
func (s *site) undoOverdue(ctx context.Context) error {
	rows, err := s.db.Read().QueryContext(ctx, s.db.SQL(readOverdue), time.Now().UnixMicro())
	if err != nil {
		return err
	}
	defer rows.Close()
	type saga struct{ answer, question, correlation string }
	var overdue []saga
	for rows.Next() {
		var o saga
		if err := rows.Scan(&o.answer, &o.question, &o.correlation); err != nil {
			return err
		}
		overdue = append(overdue, o)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, o := range overdue {
		if err := s.undo(begun(ctx, "deadline", o.correlation), refuseSaga, o.answer, o.question, "moderation did not answer"); err != nil {
			return err
		}
	}
	return nil
}

// undo ends a saga, if the statement still changes it, and tells everybody.
func (s steps) undo(ctx context.Context, statement, answer, question, reason string) error {
	var undone bool
	err := s.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, changed, err := s.change(ctx, tx, statement, answer, question)
		if undone = changed; err != nil || !changed {
			return err
		}
		return s.publishRemoved(ctx, tx, answer, question, reason)
	})
	if err == nil && undone {
		s.logger.InfoContext(ctx, "answer undone", "answer", answer, "reason", reason)
	}
	return err
}

// begun is the context of work that no message set off, by whom, with the
// correlation id that it belongs to: log lines and events have it as if one had.
func begun(ctx context.Context, by, correlation string) context.Context {
	return event.WithMessage(ctx, event.NewMessage("", by, correlation, nil, ""))
}
