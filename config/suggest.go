package config

import (
	"fmt"
	"slices"
	"strings"
)

// hint is what to say of a name that s does not have: what was meant, else what there is.
func hint(name string, s *node) string {
	if len(s.children) == 0 {
		return fmt.Sprintf(": there is no %s here", s.noun)
	}
	names := make([]string, len(s.children))
	for i, child := range s.children {
		names[i] = child.name
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	for n := range s.settings() { // the right name one level too high
		if n.name == name {
			return fmt.Sprintf(" (did you mean %q?)", strings.TrimPrefix(n.key, s.key+"."))
		}
	}
	return fmt.Sprintf(" (there is %s)", strings.Join(names, ", "))
}

// meant is which of a few words somebody meant who wrote another, or "".
func meant(word string, words []string) string {
	byOtherName := map[string]string{
		"rabbitmq": KindAMQP, "rabbit": KindAMQP, "amqps": KindAMQP, "amqp091": KindAMQP,
		"sqlite": KindSQL, "sqlite3": DriverSQLite, "postgres": KindSQL, "postgresql": DriverPostgres, "pgsql": DriverPostgres, "pg": DriverPostgres, "pgx": DriverPostgres,
		"warning": "warn", "err": "error", "trace": "debug",
	}[strings.ToLower(word)]
	if slices.Contains(words, byOtherName) {
		return byOtherName
	}
	return nearest(word, words)
}

// nearest is the name that differs from word in the fewest letters, or "" when even that differs in too many.
func nearest(word string, names []string) string {
	word = strings.ToLower(word)
	best, least := "", 3
	if len(word) > 12 {
		least = 4
	}
	for _, name := range names {
		if d := distance(word, strings.ToLower(name)); d < least && d < len(name) {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
// Long words are cut: no key is that long.
func distance(a, b string) int {
	a, b = a[:min(len(a), 100)], b[:min(len(b), 100)]
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := slices.Repeat([]int{i + 1}, len(b)+1)
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
