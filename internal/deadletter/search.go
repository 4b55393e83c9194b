package deadletter

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
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

// has reports that the letter holds a text, which is in lower case, as it is
// or as the JSON of its metadata and payload escapes it.
func (l *Letter) has(wanted []byte, documents ...[]byte) bool {
	for _, b := range append([][]byte{[]byte(l.Error), []byte(l.Identity), []byte(l.CorrelationID)}, documents...) {
		if bytes.Contains(bytes.ToLower(b), wanted) {
			return true
		}
	}
	const deepest = 3 // JSON in a string of JSON in a string
	for _, b := range documents {
		for range deepest {
			plain, changed := unescaped(b)
			if !changed {
				break
			}
			if bytes.Contains(bytes.ToLower(plain), wanted) {
				return true
			}
			b = plain
		}
	}
	return false
}

// unescaped puts characters in place of JSON's escapes. It asks no more than
// that: a payload need not be JSON to be found.
func unescaped(b []byte) (plain []byte, changed bool) {
	if bytes.IndexByte(b, '\\') < 0 {
		return b, false
	}
	plain = make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		if b[i] != '\\' || i+1 == len(b) {
			plain = append(plain, b[i])
			i++
			continue
		}
		r, size := escape(b[i:])
		if r < 0 {
			plain = append(plain, b[i])
			i++
			continue
		}
		if utf16.IsSurrogate(r) {
			if low, n := escape(b[i+size:]); n == len(`\uffff`) {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					r, size = pair, size+n
				}
			}
		}
		plain = utf8.AppendRune(plain, r)
		i += size
		changed = true
	}
	return plain, changed
}

// escape reads the escape that b begins with, and its size; -1 if it is none.
func escape(b []byte) (r rune, size int) {
	if len(b) < 2 || b[0] != '\\' {
		return -1, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b', 'f', 'n', 'r', 't':
		return ' ', 2
	case 'u':
		if len(b) < len(`\uffff`) {
			return -1, 0
		}
		if unit, err := strconv.ParseUint(string(b[2:6]), 16, 16); err == nil {
			return rune(unit), 6
		}
	}
	return -1, 0
}
