package app_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/transport"
)

var errBoom = errors.New("boom")

func TestDelivery_Fates(t *testing.T) {
	unknownRetried := func(h *config.Handler) { quickRetries(h); h.OnUnknown = config.UnknownRetry }
	atMostOnce := func(h *config.Handler) { quickRetries(h); h.Delivery = config.AtMostOnce }
	briefly := func(h *config.Handler) { quickRetries(h); h.Timeout = 5 * time.Millisecond }
	heals := func(after int, err error) func(string, int) error {
		return func(_ string, attempt int) error {
			if attempt > after {
				return nil
			}
			return err
		}
	}
	always := func(err error) func(string, int) error { return heals(1000, err) }
	transient := failure.Transient(errBoom)
	tests := map[string]struct {
		change       func(*config.Handler)
		script       func(string, int) error
		attempts     int
		reason       string // "" = no letter
		redeliveries int
	}{
		"success":                   {quickRetries, heals(0, nil), 1, "", 0},
		"transient, then well":      {quickRetries, heals(1, transient), 2, "", 0},
		"well after a redelivery":   {quickRetries, heals(3, transient), 4, "", 0},
		"well at the last attempt":  {quickRetries, heals(5, transient), 6, "", 0},
		"exhausted":                 {quickRetries, always(transient), 6, "exhausted", 2},
		"recognised, and exhausted": {quickRetries, always(&busy{}), 6, "exhausted", 2},
		"permanent":                 {quickRetries, always(failure.Permanent("no-such-user", errBoom)), 1, "no-such-user", 0},
		"permanent after a redelivery": {quickRetries, func(_ string, n int) error {
			return map[bool]error{true: transient, false: failure.Permanent("gone", errBoom)}[n < 4]
		}, 4, "gone", 1},
		"unknown":                        {quickRetries, always(errBoom), 1, "unknown", 0},
		"unknown, retried":               {unknownRetried, always(errBoom), 6, "exhausted", 2},
		"unknown, retried, well":         {unknownRetried, heals(2, errBoom), 3, "", 0},
		"panic":                          {quickRetries, func(string, int) error { panic("boom") }, 1, "panic", 0},
		"panic, retried":                 {unknownRetried, func(_ string, n int) error { return panicUntil(n, 3) }, 3, "", 0},
		"goroutine ended":                {quickRetries, func(string, int) error { runtime.Goexit(); return nil }, 1, "panic", 0},
		"at most once, success":          {atMostOnce, heals(0, nil), 1, "", 0},
		"at most once, transient":        {atMostOnce, always(transient), 1, "", 0},
		"at most once, panic":            {atMostOnce, func(string, int) error { panic("boom") }, 1, "", 0},
		"every attempt takes too long":   {briefly, func(string, int) error { return nil }, 6, "exhausted", 2},
		"the service asks to come later": {quickRetries, always(failure.TransientAfter(errBoom, 5*time.Millisecond)), 3, "exhausted", 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := &probe{script: test.script, waits: strings.HasPrefix(name, "every attempt")}
			all := []handlers.Handler{p.handler("probe")}
			r := newRig(t, all)
			r.run(t, all, handler("probe", test.change))
			r.publish(t, "probe", "x")
			eventually(t, func() bool { return p.made("x") >= test.attempts })
			letters := r.settled(t)
			require.Equal(t, test.attempts, p.made("x"), "exactly as many attempts as the schedule has")
			if test.reason == "" {
				require.Empty(t, letters)
				return
			}
			require.Len(t, letters, 1)
			l := letters[0]
			require.Equal(t, test.reason, l.Reason)
			require.Equal(t, test.attempts, l.Attempts)
			require.Equal(t, test.redeliveries, l.Redeliveries)
			require.Equal(t, "x", string(l.Payload))
			require.False(t, l.FirstFailedAt.After(l.LastFailedAt))
			require.WithinDuration(t, time.Now(), l.LastFailedAt, patience)
			for key, want := range map[string]string{"reason_poisoned": test.reason, "topic_poisoned": "probe", "handler_poisoned": "probe"} {
				require.Equal(t, want, l.Metadata[key])
			}
			if strings.HasPrefix(name, "panic") {
				require.Contains(t, l.Error, "delivery_test.go", "where it happened")
			}
		})
	}
}

// busy is recognised by what it is.
type busy struct{}

func (*busy) Error() string   { return "try later" }
func (*busy) Timeout() bool   { return true }
func (*busy) Temporary() bool { return true }

func panicUntil(n, well int) error {
	if n < well {
		panic(fmt.Sprintf("attempt %d", n))
	}
	return nil
}

// One handler's failure is nobody else's.
func TestDelivery_OthersDoNotSeeARedelivery(t *testing.T) {
	ill, well := &probe{script: func(_ string, n int) error {
		if n <= 4 {
			return failure.Transient(errBoom)
		}
		return nil
	}}, &probe{script: func(string, int) error { return nil }}
	all := []handlers.Handler{ill.handler("ill"), well.handler("well")}
	r := newRig(t, all)
	r.run(t, all, handler("ill", quickRetries))
	r.publish(t, "probe", "x")
	eventually(t, func() bool { return ill.made("x") == 5 })
	require.Empty(t, r.settled(t))
	require.Equal(t, 1, well.made("x"))
	r.publish(t, "probe.ill", "y") // to that queue alone
	eventually(t, func() bool { return ill.made("y") == 5 })
	require.Empty(t, r.settled(t))
	require.Zero(t, well.made("y"))
}

func TestDelivery_DisabledHandlerKeepsItsQueue(t *testing.T) {
	on, off := &probe{script: func(string, int) error { return nil }}, &probe{script: func(string, int) error { return nil }}
	all := []handlers.Handler{on.handler("on"), off.handler("off")}
	r := newRig(t, all)
	disabled := handler("off", func(h *config.Handler) { h.Enabled = false })
	a := r.run(t, all, disabled)
	require.NotContains(t, r.log.String(), "does not run", "there is nothing to warn of")
	r.publish(t, "probe", "x", "y")
	eventually(t, func() bool { pending, _ := r.waiting(t); return on.made("x")+on.made("y") == 2 && pending == 2 })
	require.NoError(t, a.Stop(t.Context()))

	second := r.run(t, all, disabled)
	require.Contains(t, r.log.String(), "wait for a handler that does not run")
	require.Contains(t, r.log.String(), "handler=off topic=probe waiting=2")
	require.NotContains(t, r.log.String(), "handler=on")
	require.NoError(t, second.Stop(t.Context()))

	r.run(t, all)
	eventually(t, func() bool { return off.made("x")+off.made("y") == 2 })
	r.settled(t)
	require.Equal(t, 2, on.made("x")+on.made("y"))
}

// A message's correlation id is the same in each of its log lines and on its
// letter, whether its producer gave it one or not.
func TestDelivery_CorrelationIDInEachLogLine(t *testing.T) {
	p := &probe{script: func(string, int) error { return failure.Transient(errBoom) }}
	all := []handlers.Handler{p.handler("probe")}
	r := newRig(t, all)
	r.run(t, all, handler("probe", quickRetries))
	r.publish(t, "probe", `{"event_id":"from-identity"}`)
	r.insert(t, "probe.probe", "u2", `{"correlation_id":"from-producer"}`, "y")
	r.insert(t, "probe.probe", "u3", `{"correlation_id":""}`, "z")
	eventually(t, func() bool { return len(r.letters(t)) == 3 })
	letters := map[string]string{}
	for _, l := range r.settled(t) {
		letters[l.CorrelationID] = l.Metadata[transport.KeyCorrelationID]
		require.Equal(t, event.Identity(l.Payload, l.UUID), l.Identity)
	}
	require.Equal(t, map[string]string{"from-identity": "from-identity", "from-producer": "from-producer", "u3": "u3"}, letters)
	for id := range letters {
		lines := map[string]int{}
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, "correlation_id="+id+"\n") {
				require.Contains(t, line, "handler=probe topic=probe")
				for _, what := range []string{"attempt failed", "redelivered after a delay", "dead letter"} {
					if strings.Contains(line, what) {
						lines[what]++
					}
				}
			}
		}
		require.Equal(t, map[string]int{"attempt failed": 3, "redelivered after a delay": 2, "dead letter": 1}, lines, id)
	}
}
