package event

import (
	"strings"
	"time"
)

// maxAhead is how far an event may lie in the consumer's future: clocks differ, but not by more than a day.
const maxAhead = 24 * time.Hour

// parseMoment reads an RFC 3339 time with zone, and returns it in UTC, cut to microseconds.
//
// time.Parse alone will not do. It forgives what RFC 3339 forbids: a one-digit hour, a decimal comma, a zone of 24 hours
// (go.dev/issue/54580). And it refuses what RFC 3339 allows: lower-case t and z, and leap seconds, which become the second after.
func parseMoment(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[len("2006-01-02T15")] != ':' || s[len("2006-01-02T15:04:05")] == ',' {
		return time.Time{}, false
	}
	s = strings.ToUpper(s)
	if s[len(s)-1] != 'Z' {
		if zone := s[len(s)-len("07:00"):]; zone[:2] > "23" || zone[3:] > "59" {
			return time.Time{}, false
		}
	}
	second := s[len("2006-01-02T15:04:"):len("2006-01-02T15:04:05")]
	leap := second == "60"
	if leap {
		s = s[:len("2006-01-02T15:04:")] + "59" + s[len("2006-01-02T15:04:05"):]
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, false
	}
	t = t.UTC().Truncate(time.Microsecond)
	if leap {
		if t.Hour() != 23 || t.Minute() != 59 {
			return time.Time{}, false
		}
		t = t.Add(time.Second)
	}
	return t, true
}

// momentProblem says why an event cannot have happened at t, or "".
func momentProblem(t, now time.Time) string {
	switch {
	case t.Before(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)):
		return "earlier than 2000-01-01"
	case t.After(now.Add(maxAhead)):
		return "more than 24 hours ahead"
	}
	return ""
}
