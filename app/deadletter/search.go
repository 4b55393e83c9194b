package deadletter

import (
	"bytes"
	"context"
	"fmt"
	"strings"
)

const (
	// searchLetters and searchBytes bound what one page of a search for text
	// goes through: about 0.1 s.
	searchLetters = 5000
	searchBytes   = 16 << 20
)

// search is page with a text to look for. It reads letter by letter, and
// keeps those that have it.
func (d *Desk) search(ctx context.Context, f Filter, from position, limit int) (found []*Letter, next *position, err error) {
	wanted := []byte(strings.ToLower(f.Text))
	q, args := f.query(d.sql, wholeSearchColumns, from, searchLetters)
	rows, err := d.db.Read().QueryContext(ctx, d.db.SQL(q), args...)
	if err != nil {
		return nil, nil, fmt.Errorf("searching dead letters: %w", err)
	}
	defer rows.Close()
	seen, read := 0, 0
	for rows.Next() {
		var metadata string
		var payload, repaired []byte
		l, err := scan(rows, &metadata, &payload, &repaired)
		if err != nil {
			return nil, nil, fmt.Errorf("searching dead letters: %w", err)
		}
		seen++
		read += len(payload) + len(repaired)
		if l.has(wanted, []byte(metadata), payload, repaired) {
			found = append(found, l)
		}
		if len(found) == limit || read > searchBytes || seen == searchLetters {
			return found, l.position(), nil // there may be more
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("searching dead letters: %w", err)
	}
	return found, nil, nil
}

const wholeSearchColumns = summaryColumns + `, metadata, payload, repaired`

// has reports that the letter holds a text, which is in lower case.
func (l *Letter) has(wanted []byte, more ...[]byte) bool {
	for _, b := range append([][]byte{[]byte(l.Error), []byte(l.Identity), []byte(l.CorrelationID)}, more...) {
		if bytes.Contains(bytes.ToLower(b), wanted) {
			return true
		}
	}
	return false
}
