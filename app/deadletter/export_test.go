package deadletter

// Query is how List asks for the first page, or for the one behind a cursor.
func (f Filter) Query(cursor string, limit int) (string, []any, error) {
	from, err := parseCursor(cursor)
	if err != nil {
		return "", nil, err
	}
	q, args := f.query(summaryColumns, from, limit)
	return q, args, nil
}
