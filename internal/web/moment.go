package web

import (
	"strconv"
	"time"
)

// moment is a point in time as a page shows it.
type moment struct {
	ISO      string // RFC 3339, UTC, for machines
	Relative string // "3 hours ago", at the time of rendering
	Absolute string // "2 Jan 2006, 15:04 UTC"
}

func momentOf(t, now time.Time) moment {
	t = t.UTC()
	return moment{
		ISO:      t.Format(time.RFC3339),
		Relative: relative(now.Sub(t)),
		Absolute: t.Format("2 Jan 2006, 15:04 UTC"),
	}
}

// relative puts an age into words. A negative one is a clock that runs ahead,
// which events may by up to a day.
func relative(age time.Duration) string {
	words := inWords(age.Abs())
	switch {
	case words == "":
		return "just now"
	case age < 0:
		return "in " + words
	default:
		return words + " ago"
	}
}

// inWords names the largest unit that fits into d, or returns "" below a minute.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{365 * day, "year"}, {30 * day, "month"}, {day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := int(d / unit.length); {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return strconv.Itoa(n) + " " + unit.name + "s"
		}
	}
	return ""
}
