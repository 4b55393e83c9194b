package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
)

func TestTimetable(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Handler)
		want   string
	}{
		"default": {func(*config.Handler) {},
			"tries at 0 s, 50 ms, 150 ms; again after 5 s, 35 s, 2 m 35 s, 12 m 35 s, 1 h 12 m 35 s; " +
				"dead letter after 1 h 12 m 35 s if every try fails at once, at the latest after 1 h 15 m 37 s"},
		"at most once": {func(h *config.Handler) { h.Delivery = config.AtMostOnce },
			"one try; a failure is counted and logged, without a retry or a dead letter"},
		"no redelivery": {func(h *config.Handler) { h.Retry.Redeliver = nil; h.Timeout = time.Second },
			"tries at 0 s, 50 ms, 150 ms; dead letter after 150 ms if every try fails at once, at the latest after 3.18 s"},
		"one try": {func(h *config.Handler) { h.Retry.Attempts = 1; h.Retry.Redeliver = nil },
			"tries at 0 s; dead letter after 0 s if every try fails at once, at the latest after 10 s"},
		"slow tries": {func(h *config.Handler) {
			h.Retry = config.Retry{Attempts: 4, Backoff: 500 * time.Millisecond, Redeliver: []time.Duration{24 * time.Hour}}
			h.Timeout = time.Minute
		}, "tries at 0 s, 500 ms, 1.5 s, 3.5 s; again after 1 d; " +
			"dead letter after 1 d 7 s if every try fails at once, at the latest after 1 d 8 m 9 s"},
		"many": {func(h *config.Handler) {
			h.Retry = config.Retry{Attempts: 20, Backoff: time.Millisecond}
		}, "tries at 0 s, 1 ms, 3 ms, 7 ms, 15 ms, 31 ms, …, 8 m 44 s (20 times); " +
			"dead letter after 8 m 44 s if every try fails at once, at the latest after 13 m 50 s"},
	} {
		t.Run(name, func(t *testing.T) {
			h := config.DefaultHandler()
			c.change(&h)
			require.Equal(t, c.want, config.Timetable(h))
		})
	}
}
