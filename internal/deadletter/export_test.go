package deadletter

import "github.com/answerfeed/answerfeed/app/database"

// Query is how List asks for the first page, or for the one behind a cursor.
func (f Filter) Query(db *database.DB, cursor string, limit int) (string, []any, error) {
	from, err := parseCursor(cursor)
	if err != nil {
		return "", nil, err
	}
	q, args := f.query(dialectOf(db), summaryColumns, from, limit)
	return q, args, nil
}
