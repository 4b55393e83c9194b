package middleware_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/middleware"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	handlerName = "feed"
	topicName   = "answer-added"
	payload     = `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-01-02T03:04:05Z","event_id":"e1"}`
)

// desk stands for the transport: it records what the chain hands to it.
type desk struct {
	redelivered []redelivery
	letters     []message.Metadata
	err         error // of both
}

type redelivery struct {
	delay    time.Duration
	metadata message.Metadata
}

var (
	_ middleware.Redeliverer  = (*desk)(nil)
	_ middleware.DeadLetterer = (*desk)(nil)
)

func (d *desk) Redeliver(_ context.Context, m *message.Message, delay time.Duration) error {
	if d.err == nil {
		d.redelivered = append(d.redelivered, redelivery{delay, maps.Clone(m.Metadata)})
	}
	return d.err
}

func (d *desk) DeadLetter(_ context.Context, m *message.Message) error {
	if d.err == nil {
		d.letters = append(d.letters, maps.Clone(m.Metadata))
	}
	return d.err
}

// rig is the chain of one handler, and what can be seen from outside of it.
type rig struct {
	middleware.Settings
	*desk
	registry *prometheus.Registry
	log      *bytes.Buffer
}

func newRig(t testing.TB, change ...func(*middleware.Settings)) *rig {
	t.Helper()
	r := &rig{desk: &desk{}, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	metrics, err := middleware.NewMetrics(r.registry)
	require.NoError(t, err)
	r.Settings = middleware.Settings{
		Handler: handlerName, Topic: topicName,
		Timeout: 10 * time.Second, Attempts: 3, Backoff: 100 * time.Millisecond,
		Redeliver:   []time.Duration{5 * time.Second, 30 * time.Second},
		Redeliverer: r.desk, DeadLetterer: r.desk, Metrics: metrics,
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&r.Settings)
	}
	return r
}

// handle sends m through the whole chain to h. Its error is the router's nack.
func (r *rig) handle(m *message.Message, h func(*message.Message) error) error {
	return r.chain(h)(m)
}

// chain is the whole chain to h, for many messages.
func (r *rig) chain(h func(*message.Message) error) func(*message.Message) error {
	next := func(m *message.Message) ([]*message.Message, error) { return nil, h(m) }
	for _, mw := range slices.Backward(middleware.Chain(r.Settings)) {
		next = mw(next)
	}
	return func(m *message.Message) error {
		_, err := next(m)
		return err
	}
}

func newMessage() *message.Message { return message.NewMessage("u1", []byte(payload)) }

// script fails with each error in turn, then with the last for ever; a nil
// error is success.
type script struct {
	errs     []error
	attempts int
}

func fails(errs ...error) *script { return &script{errs: errs} }

func (s *script) handle(*message.Message) error {
	err := s.errs[min(s.attempts, len(s.errs)-1)]
	s.attempts++
	return err
}

func unknownRetried(s *middleware.Settings) { s.RetryUnknown = true }
func atMostOnce(s *middleware.Settings)     { s.AtMostOnce = true }

func redeliver(delays ...time.Duration) func(*middleware.Settings) {
	return func(s *middleware.Settings) { s.Redeliver = delays }
}
