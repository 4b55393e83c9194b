package deadletter

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// Problem is what a fingerprint's letters have in common, for telling people.
type Problem struct {
	Fingerprint, Handler, Topic, Reason string
	// Error is that of the first letter.
	Error string
	// Letters are dead now; of a spike, those within its time, counted up to
	// 1,000 beyond the threshold.
	Letters int
	// LastFailedAt is UTC.
	LastFailedAt time.Time
}

// spikeCount is how far beyond a threshold the letters of a spike are counted.
const spikeCount = 1000

// Lead makes one of several workers, each with a name of its own, the one that
// tells people, until a moment. It reports whether that is this one.
func (s *Store) Lead(ctx context.Context, holder string, now, until time.Time) (leads bool, err error) {
	err = s.db.Update(ctx, database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.db.SQL(`UPDATE dead_letter_teller SET holder = $1, until = $2 WHERE id = 1 AND (holder = $3 OR until < $4)`),
			holder, until.UnixMicro(), holder, now.UnixMicro())
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		leads = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("asking who tells of dead letters: %w", err)
	}
	return leads, nil
}

// News returns the problems with letters of which nobody was told yet, one a
// fingerprint, largest first, up to [MaxLimit]. A problem that was told is news
// again when it comes back: when all letters that were there then have been
// dealt with, and later ones are dead.
func (s *Store) News(ctx context.Context) ([]Problem, error) {
	rows, err := s.db.Read().QueryContext(ctx, s.db.SQL(`SELECT fingerprint, handler, topic, reason, error, letters, last
		FROM (SELECT fingerprint, min(handler) AS handler, min(topic) AS topic, min(reason) AS reason, min(error) AS error,
			sum(letters) AS letters, max(last_failed_at) AS last, max(told_at) AS told
			FROM dead_letter_groups GROUP BY fingerprint HAVING sum(letters) > 0) AS g
		WHERE told IS NULL OR last > told AND NOT EXISTS (
			SELECT 1 FROM dead_letters AS l WHERE l.state = $1 AND l.fingerprint = g.fingerprint AND l.last_failed_at <= g.told)
		ORDER BY letters DESC, fingerprint LIMIT $2`), string(Dead), MaxLimit)
	if err != nil {
		return nil, fmt.Errorf("looking for new problems: %w", err)
	}
	return scanProblems(rows)
}

// Spikes returns the problems with at least threshold letters that failed
// since a moment, of whose spike nobody was told since quiet.
func (s *Store) Spikes(ctx context.Context, threshold int, since, quiet time.Time) ([]Problem, error) {
	rows, err := s.db.Read().QueryContext(ctx, s.db.SQL(`SELECT fingerprint, min(handler), min(topic), min(reason), min(error), sum(letters), max(last_failed_at)
		FROM dead_letter_groups GROUP BY fingerprint
		HAVING max(last_failed_at) >= $1 AND sum(letters) >= $2 AND max(COALESCE(told_spike_at, 0)) < $3 ORDER BY fingerprint`),
		since.UnixMicro(), threshold, quiet.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("looking for spikes: %w", err)
	}
	candidates, err := scanProblems(rows)
	if err != nil {
		return nil, err
	}
	var spikes []Problem
	for _, p := range candidates {
		err := s.db.Read().QueryRowContext(ctx, s.db.SQL(`SELECT count(*) FROM (SELECT 1 FROM dead_letters
			WHERE state = $1 AND fingerprint = $2 AND last_failed_at >= $3 LIMIT $4) AS l`),
			string(Dead), p.Fingerprint, since.UnixMicro(), threshold+spikeCount).Scan(&p.Letters)
		if err != nil {
			return nil, fmt.Errorf("counting a spike: %w", err)
		}
		if p.Letters >= threshold {
			spikes = append(spikes, p)
		}
	}
	return spikes, nil
}

func scanProblems(rows *sql.Rows) (problems []Problem, err error) {
	defer rows.Close()
	for rows.Next() {
		var p Problem
		var last int64
		if err := rows.Scan(&p.Fingerprint, &p.Handler, &p.Topic, &p.Reason, &p.Error, &p.Letters, &last); err != nil {
			return nil, fmt.Errorf("reading problems: %w", err)
		}
		p.LastFailedAt = time.UnixMicro(last).UTC()
		problems = append(problems, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading problems: %w", err)
	}
	return problems, nil
}

// Told notes that people were told of new problems, and of spikes.
func (s *Store) Told(ctx context.Context, at time.Time, news, spikes []Problem) error {
	for column, problems := range map[string][]Problem{"told_at": news, "told_spike_at": spikes} {
		if len(problems) == 0 {
			continue
		}
		args := []any{at.UnixMicro()}
		for _, p := range problems {
			args = append(args, p.Fingerprint)
		}
		these := ` WHERE fingerprint IN (` + list(2, len(problems)) + `)`
		err := s.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			// In the order of the keys, like everybody who changes groups.
			locking := `SELECT fingerprint FROM dead_letter_groups WHERE fingerprint IN (` + list(1, len(problems)) + `) ORDER BY fingerprint, topic` + s.sql.lock
			if _, err := tx.ExecContext(ctx, s.db.SQL(locking), args[1:]...); err != nil {
				return err
			}
			// Another worker's clock may be ahead: what was told is told.
			_, err := tx.ExecContext(ctx, s.db.SQL(`UPDATE dead_letter_groups SET `+column+` = CASE WHEN last_failed_at > $1 THEN last_failed_at ELSE $1 END`+these), args...)
			return err
		})
		if err != nil {
			return fmt.Errorf("noting who was told: %w", err)
		}
	}
	return nil
}
