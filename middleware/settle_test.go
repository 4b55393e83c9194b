package middleware_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/middleware"
)

func TestRedeliver_FollowsTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m := newRig(t, redeliver(5*time.Second, 30*time.Second, 2*time.Minute)), newMessage()
		for n := range 3 {
			require.NoError(t, r.handle(m, fails(failure.Transient(errBoom)).handle))
			require.Len(t, r.redelivered, n+1)
			require.Equal(t, r.Settings.Redeliver[n], r.redelivered[n].delay)
			require.Equal(t, fmt.Sprint(n+1), r.redelivered[n].metadata[transport.KeyRedeliveries])
			require.Equal(t, fmt.Sprint(3*(n+1)), r.redelivered[n].metadata[transport.KeyAttempts])
		}
		require.NoError(t, r.handle(m, fails(failure.Transient(errBoom)).handle))
		require.Len(t, r.redelivered, 3)
		require.Len(t, r.letters, 1)
		require.Equal(t, string(middleware.Exhausted), r.letters[0]["reason_poisoned"])
		require.Equal(t, "12", r.letters[0][transport.KeyAttempts])
		require.Equal(t, "3", r.letters[0][transport.KeyRedeliveries])
	})
}

func TestRedeliver_RetryAfterIsTheLeastDelay(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		time.Second: 5 * time.Second, 5 * time.Second: 5 * time.Second, time.Hour: time.Hour,
	} {
		r := newRig(t)
		require.NoError(t, r.handle(newMessage(), fails(failure.TransientAfter(errBoom, after)).handle))
		require.Equal(t, want, r.redelivered[0].delay, "asked for %s", after)
	}
}

// A count from outside, by whatever mistake, must not break the schedule.
func TestRedeliver_TakesACountThatIsNoneAsNone(t *testing.T) {
	for _, count := range []string{"", "many", "-1", "99999999999999999999", "1.5"} {
		synctest.Test(t, func(t *testing.T) {
			r, m := newRig(t), newMessage()
			m.Metadata.Set(transport.KeyRedeliveries, count)
			m.Metadata.Set(transport.KeyAttempts, count)
			require.NoError(t, r.handle(m, fails(failure.Transient(errBoom)).handle))
			require.Equal(t, "1", r.redelivered[0].metadata[transport.KeyRedeliveries])
			require.Equal(t, "3", r.redelivered[0].metadata[transport.KeyAttempts])
		})
	}
}

func TestSettling_WhatCannotBeMadeSafeIsNotAcknowledged(t *testing.T) {
	away := errors.New("the broker is away")
	for name, h := range map[string]*script{
		"redelivery": fails(failure.Transient(errBoom)),
		"letter":     fails(errBoom),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.desk.err = away
				require.ErrorIs(t, r.handle(newMessage(), h.handle), away)
				require.Contains(t, r.log.String(), "could not be stored elsewhere")
			})
		})
	}
}

func TestDeadLetter_Reasons(t *testing.T) {
	tests := map[string]struct {
		err    error
		reason failure.Reason
	}{
		"permanent":                   {failure.Permanent(failure.Rejected, errBoom), failure.Rejected},
		"of a handler's own, wrapped": {fmt.Errorf("looking: %w", failure.Permanent("no-such-user", errBoom)), "no-such-user"},
		"malformed":                   {middleware.FromEvent(event.Validate(topicName, []byte("{"))), failure.Malformed},
		"invalid":                     {middleware.FromEvent(event.Validate(topicName, []byte("{}"))), failure.Invalid},
		"unknown":                     {errBoom, failure.Unknown},
		"panic":                       {&failure.Panicked{Value: "boom"}, failure.Panic},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, m := newRig(t), newMessage()
			require.NoError(t, r.handle(m, fails(test.err).handle))
			require.Len(t, r.letters, 1)
			letter := r.letters[0]
			require.Equal(t, string(test.reason), letter["reason_poisoned"])
			require.Equal(t, topicName, letter["topic_poisoned"])
			require.Equal(t, handlerName, letter["handler_poisoned"])
			require.Contains(t, letter, "subscriber_poisoned")
			require.Equal(t, test.err.Error(), letter[transport.KeyError])
			require.Equal(t, "1", letter[transport.KeyAttempts])
			require.WithinDuration(t, time.Now(), transport.Time(m, transport.KeyFirstFailedAt), time.Minute)
			require.Equal(t, letter[transport.KeyFirstFailedAt], letter[transport.KeyLastFailedAt])
			require.Equal(t, payload, string(m.Payload))
		})
	}
}

// An error's text may be of any length and hold any bytes; a letter's may not.
func TestDeadLetter_ErrorIsCutToTextThatAnythingCanStore(t *testing.T) {
	const most = 4 << 10
	for name, text := range map[string]string{
		"long":                        strings.Repeat("x", 2*most),
		"long, of two-byte letters":   "x" + strings.Repeat("ü", most),
		"no UTF-8":                    "caf\xe9",
		"long, no UTF-8":              strings.Repeat("\xff", 2*most),
		"long, with holes that swell": strings.Repeat("a\xff", most),
		"NUL":                         "a\x00b",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			require.NoError(t, r.handle(newMessage(), fails(errors.New(text)).handle))
			got := r.letters[0][transport.KeyError]
			require.LessOrEqual(t, len(got), most)
			require.True(t, utf8.ValidString(got))
			require.NotContains(t, got, "\x00", "PostgreSQL stores none")
			if utf8.ValidString(text) {
				require.GreaterOrEqual(t, len(got), min(len(text), most)-utf8.UTFMax, "no more is cut than must be")
			}
			for line := range strings.Lines(r.log.String()) {
				if strings.Contains(line, "WARN") {
					require.Less(t, len(line), 2000, "the log has the first line, in brief")
				}
			}
		})
	}
}

func TestDeadLetter_LogTellsTheFirstLine(t *testing.T) {
	r := newRig(t)
	r.Logger = quiet(r)
	require.NoError(t, r.handle(newMessage(), fails(errors.New("first\nsecond")).handle))
	require.Contains(t, r.log.String(), "error=first")
	require.NotContains(t, r.log.String(), "second")
}

func TestAtMostOnce_MakesOneAttempt(t *testing.T) {
	for name, err := range map[string]error{
		"transient": failure.Transient(errBoom), "permanent": failure.Permanent(failure.Rejected, errBoom), "unknown": errBoom,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, atMostOnce, unknownRetried)
			h := fails(err)
			require.NoError(t, r.handle(newMessage(), h.handle))
			require.Equal(t, 1, h.attempts)
			require.Empty(t, r.letters)
			require.Empty(t, r.redelivered)
			require.Contains(t, r.log.String(), "dropped")
			require.Equal(t, map[string]float64{string(failure.Classify(err).Reason): 1}, r.counts(t, "answerfeed_failed_attempts_total", "reason"))
		})
	}
}

func TestAtMostOnce_Success(t *testing.T) {
	r := newRig(t, atMostOnce)
	require.NoError(t, r.handle(newMessage(), fails(nil).handle))
	require.Equal(t, map[string]float64{"handled": 1}, r.outcomes(t))
	require.Empty(t, r.log.String())
	var none message.Metadata
	m := &message.Message{UUID: "u1", Metadata: none, Payload: []byte(payload)}
	require.NoError(t, r.handle(m, fails(nil).handle), "metadata may be nil")
}
