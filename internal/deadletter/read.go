package deadletter

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

const (
	// summaryColumns are read of letters that are listed. None of them lies
	// behind the payload in its row.
	summaryColumns = `id, handler, topic, identity, requeues, state, reason, fingerprint, correlation_id,
		attempts, redeliveries, first_failed_at, last_failed_at, error, octet_length(payload)`
	wholeColumns = summaryColumns + `, uuid, metadata, payload, requeued_at, discarded_at, repaired`
)

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(...any) error }

// scan reads the summary columns, and those behind them into more.
func scan(row scanner, more ...any) (*Letter, error) {
	l := &Letter{}
	var first, last int64
	into := []any{
		&l.ID, &l.Handler, &l.Topic, &l.Identity, &l.Requeues, &l.State, &l.Reason, &l.Fingerprint, &l.CorrelationID,
		&l.Attempts, &l.Redeliveries, &first, &last, &l.Error, &l.Size,
	}
	if err := row.Scan(append(into, more...)...); err != nil {
		return nil, err
	}
	l.FirstFailedAt, l.LastFailedAt = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
	return l, nil
}

// scanWhole reads the whole columns.
func scanWhole(row scanner) (*Letter, error) {
	var uuid, metadata string
	var payload, repaired []byte
	var requeued, discarded sql.NullInt64
	l, err := scan(row, &uuid, &metadata, &payload, &requeued, &discarded, &repaired)
	if err != nil {
		return nil, err
	}
	l.UUID, l.Payload, l.Repaired = uuid, payload, repaired
	l.RequeuedAt, l.DiscardedAt = moment(requeued), moment(discarded)
	if err := json.Unmarshal([]byte(metadata), &l.Metadata); err != nil {
		return nil, fmt.Errorf("the metadata of letter %s: %w", l.ID, err)
	}
	return l, nil
}

// get returns one letter, or [ErrNotFound].
func get(ctx context.Context, db *database.DB, id string) (*Letter, error) {
	letters, err := load(ctx, db, []string{id})
	if err != nil {
		return nil, err
	}
	if len(letters) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, text(id))
	}
	return letters[0], nil
}

// load returns those of the letters that there are, in any order.
func load(ctx context.Context, db *database.DB, ids []string) ([]*Letter, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = text(id)
	}
	return query(ctx, db, scanWhole, `SELECT `+wholeColumns+` FROM dead_letters WHERE id IN (`+list(1, len(ids))+`)`, args...)
}

// query returns the letters that a query of either columns finds.
func query(ctx context.Context, db *database.DB, scan func(scanner) (*Letter, error), q string, args ...any) ([]*Letter, error) {
	rows, err := db.Read().QueryContext(ctx, db.SQL(q), args...)
	if err != nil {
		return nil, fmt.Errorf("reading dead letters: %w", err)
	}
	defer rows.Close()
	var letters []*Letter
	for rows.Next() {
		l, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading dead letters: %w", err)
		}
		letters = append(letters, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading dead letters: %w", err)
	}
	return letters, nil
}
