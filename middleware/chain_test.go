package middleware_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Each case is true only while the two that it names stand in this order.
func TestChain_Order(t *testing.T) {
	cases := map[string]func(t *testing.T, r *rig){
		"Correlation around DeadLetter: a letter has an id": func(t *testing.T, r *rig) {
			require.NoError(t, r.handle(newMessage(), fails(errBoom).handle))
			require.Equal(t, "e1", r.letters[0][transport.KeyCorrelationID])
			require.Contains(t, r.log.String(), "dead letter")
		},
		"Metrics around DeadLetter: a letter counts as one": func(t *testing.T, r *rig) {
			require.NoError(t, r.handle(newMessage(), fails(errBoom).handle))
			require.Equal(t, map[string]float64{"dead-letter": 1}, r.outcomes(t))
		},
		"DeadLetter around Redeliver: a letter only when the schedule is at its end": func(t *testing.T, r *rig) {
			r.Settings.Redeliver = r.Settings.Redeliver[:1]
			m := newMessage()
			require.NoError(t, r.handle(m, fails(failure.Transient(errBoom)).handle))
			require.Empty(t, r.letters)
			require.NoError(t, r.handle(m, fails(failure.Transient(errBoom)).handle))
			require.Len(t, r.letters, 1)
		},
		"Redeliver around Retry: put back only after the quick attempts": func(t *testing.T, r *rig) {
			h := fails(failure.Transient(errBoom))
			require.NoError(t, r.handle(newMessage(), func(m *message.Message) error {
				require.Empty(t, r.redelivered)
				return h.handle(m)
			}))
			require.Equal(t, 3, h.attempts)
			require.Len(t, r.redelivered, 1)
		},
		"Retry around Timeout: each attempt has its full time": func(t *testing.T, r *rig) {
			var left []time.Duration
			require.NoError(t, r.handle(newMessage(), func(m *message.Message) error {
				deadline, _ := m.Context().Deadline()
				left = append(left, time.Until(deadline))
				<-m.Context().Done()
				return m.Context().Err()
			}))
			require.Equal(t, []time.Duration{r.Timeout, r.Timeout, r.Timeout}, left)
		},
		"Timeout around Recover: a panic in the attempt's goroutine ends no process": func(t *testing.T, r *rig) {
			require.NoError(t, r.handle(newMessage(), func(*message.Message) error { panic("boom") }))
			require.Len(t, r.letters, 1)
		},
		"Retry around Limits: what is too large has its verdict": func(t *testing.T, r *rig) {
			m := message.NewMessage("u1", []byte(strings.Repeat(" ", event.MaxPayload+1)))
			h := fails(nil)
			require.NoError(t, r.handle(m, h.handle))
			require.Zero(t, h.attempts, "Limits is innermost: the handler does not see it")
			require.Equal(t, 1, transport.Count(m, transport.KeyAttempts))
			require.Equal(t, "too-large", r.letters[0]["reason_poisoned"])
		},
		"Metrics around AtMostOnce: what is dropped counts as dropped": func(t *testing.T, r *rig) {
			r.AtMostOnce = true
			require.NoError(t, r.handle(newMessage(), fails(errBoom).handle))
			require.Equal(t, map[string]float64{"dropped": 1}, r.outcomes(t))
		},
		"AtMostOnce around Timeout, Recover and Limits": func(t *testing.T, r *rig) {
			r.AtMostOnce = true
			require.NoError(t, r.handle(newMessage(), func(*message.Message) error { panic("boom") }))
			require.NoError(t, r.handle(newMessage(), func(m *message.Message) error { <-m.Context().Done(); return nil }))
			m := message.NewMessage("u1", []byte(strings.Repeat(" ", event.MaxPayload+1)))
			require.NoError(t, r.handle(m, fails(nil).handle))
			require.Equal(t, map[string]float64{"dropped": 2, "handled": 1}, r.outcomes(t))
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, newRig(t)) })
		})
	}
}

// outcomes are the counters that are not 0.
func (r *rig) outcomes(t *testing.T) map[string]float64 {
	return r.counts(t, "answerfeed_messages_total", "outcome")
}

// counts reads a counter by the value of one label.
func (r *rig) counts(t *testing.T, metric, label string) map[string]float64 {
	t.Helper()
	families, err := r.registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != metric {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			require.Equal(t, handlerName, labels["handler"])
			require.Equal(t, topicName, labels["topic"])
			if n := m.GetCounter().GetValue(); n != 0 {
				counts[labels[label]] = n
			}
		}
	}
	return counts
}

func TestMetrics_CountByOutcomeAndReason(t *testing.T) {
	transient := failure.Transient(errBoom)
	tests := map[string]struct {
		errs     []error
		desk     error
		outcomes map[string]float64
		reasons  map[string]float64
	}{
		"handled":         {[]error{nil}, nil, map[string]float64{"handled": 1}, map[string]float64{}},
		"handled at last": {[]error{transient, nil}, nil, map[string]float64{"handled": 1}, map[string]float64{"temporary": 1}},
		"redelivered":     {[]error{transient}, nil, map[string]float64{"redelivered": 1}, map[string]float64{"temporary": 3}},
		"a letter":        {[]error{errBoom}, nil, map[string]float64{"dead-letter": 1}, map[string]float64{"unknown": 1}},
		"a letter of mixed failures": {[]error{transient, failure.Permanent("no-such-user", errBoom)}, nil,
			map[string]float64{"dead-letter": 1}, map[string]float64{"temporary": 1, "no-such-user": 1}},
		"not to be put back":     {[]error{transient}, errBoom, map[string]float64{"returned": 1}, map[string]float64{"temporary": 3}},
		"no letter to be stored": {[]error{errBoom}, errBoom, map[string]float64{"returned": 1}, map[string]float64{"unknown": 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.desk.err = test.desk
				_ = r.handle(newMessage(), fails(test.errs...).handle)
				require.Equal(t, test.outcomes, r.outcomes(t))
				require.Equal(t, test.reasons, r.counts(t, "answerfeed_failed_attempts_total", "reason"))
			})
		})
	}
}

func TestMetrics_Interrupted(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	m := newMessage()
	m.SetContext(ctx)
	require.Error(t, r.handle(m, func(*message.Message) error { cancel(); return errBoom }))
	require.Equal(t, map[string]float64{"returned": 1}, r.outcomes(t))
	require.Empty(t, r.counts(t, "answerfeed_failed_attempts_total", "reason"), "it is no failure")
}

func TestMetrics_InFlightAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		inFlight := func(n string) {
			require.NoError(t, testutil.GatherAndCompare(r.registry, strings.NewReader(`
# HELP answerfeed_in_flight Messages that are being handled by this process.
# TYPE answerfeed_in_flight gauge
answerfeed_in_flight{handler="feed",topic="answer-added"} `+n+"\n"), "answerfeed_in_flight"))
		}
		require.NoError(t, r.handle(newMessage(), func(*message.Message) error {
			inFlight("1")
			<-time.After(2 * time.Second)
			return nil
		}))
		inFlight("0")
		families, err := r.registry.Gather()
		require.NoError(t, err)
		for _, family := range families {
			if family.GetName() == "answerfeed_handle_seconds" {
				h := family.GetMetric()[0].GetHistogram()
				require.EqualValues(t, 1, h.GetSampleCount())
				require.InDelta(t, 2, h.GetSampleSum(), 0.001)
				return
			}
		}
		require.Fail(t, "no histogram")
	})
}
