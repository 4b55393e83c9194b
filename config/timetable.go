package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Timetable says when a message that keeps failing with a transient error is tried, and when it becomes a dead
// letter: "tries at 0 s, 50 ms, 150 ms; again after 5 s, 35 s; dead letter after 35 s if every try fails at once, at
// the latest after 1 min 36 s".
//
// A delivery makes attempts tries with pauses of backoff, 2 backoff, 4 backoff … between them: the first figures,
// counted from the delivery and as if each try failed at once. There are 1 + len(redeliver) deliveries: the second
// figures are the running sums of redeliver. So the shortest time to the dead letter is
//
//	sum(redeliver) + (1 + len(redeliver)) × pauses,       pauses = backoff × (2^(attempts-1) - 1)
//
// in which jitter, ±20 % of each pause, is taken as nothing. The longest, every try ending by its timeout and every
// pause having the most jitter, is
//
//	sum(redeliver) + (1 + len(redeliver)) × (attempts × timeout + 1.2 × pauses)
//
// Neither counts the time in the queue before a place is free, longer delays that a failure asks for, outages (in which
// nothing is tried, and no attempt spent), crashes, and handlers that ignore the end of their context. The shortest is rounded down, the
// longest up, to whole seconds from 10 s on.
func Timetable(h Handler) string {
	if h.Delivery == AtMostOnce {
		return "one try; a failure is counted and logged, without a retry or a dead letter"
	}
	var tries, again []string
	for i := range h.Retry.Attempts {
		tries = append(tries, inWords(pauses(Retry{Attempts: i + 1, Backoff: h.Retry.Backoff}), false))
	}
	var delays time.Duration
	for _, d := range h.Retry.Redeliver {
		delays += d
		again = append(again, inWords(delays, false))
	}
	deliveries := time.Duration(1 + len(h.Retry.Redeliver))
	quick := pauses(h.Retry)
	least := delays + deliveries*quick
	most := delays + deliveries*(time.Duration(h.Retry.Attempts)*h.Timeout+quick+quick/5)

	text := "tries at " + list(tries)
	if len(again) > 0 {
		text += "; again after " + list(again)
	}
	return fmt.Sprintf("%s; dead letter after %s if every try fails at once, at the latest after %s",
		text, inWords(least, false), inWords(most, true))
}

// list joins times, leaving out the middle of many.
func list(times []string) string {
	const most = 8
	if n := len(times); n > most {
		times = append(append([]string{}, times[:most-2]...), "…", fmt.Sprintf("%s (%d times)", times[n-1], n))
	}
	return strings.Join(times, ", ")
}

// inWords is a time such as "150 ms", "1.5 s" or "1 h 12 m 35 s", cut to milliseconds below 10 s and to seconds
// above, or rounded up to them.
func inWords(d time.Duration, up bool) string {
	unit := time.Second
	if d < 10*time.Second {
		unit = time.Millisecond
	}
	if up {
		d += unit - 1
	}
	d = d.Truncate(unit)
	switch {
	case d == 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
	}
	var parts []string
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d %= u.size
		}
	}
	return strings.Join(parts, " ")
}
