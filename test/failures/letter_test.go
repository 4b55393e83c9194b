package failures

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// requireLetter requires of the letter all that is known of it.
func (r row) requireLetter(t *testing.T, l *deadletter.Letter, begin time.Time) {
	t.Helper()
	name := l.Handler
	require.Equal(t, tried, l.Topic)
	require.Equal(t, r.reason, l.Reason, name)
	require.Equal(t, r.attempts, l.Attempts, name)
	require.Equal(t, r.redeliveries, l.Redeliveries, name)
	require.Contains(t, l.Error, r.says, name)
	require.Equal(t, payloadOf(name), string(l.Payload), "%s: byte for byte", name)
	require.Equal(t, len(payloadOf(name)), l.Size)
	require.Equal(t, "uuid-"+name, l.UUID)
	require.Equal(t, "uuid-"+name, l.Identity)
	require.Equal(t, "correlation-"+name, l.CorrelationID)
	require.Equal(t, deadletter.Dead, l.State)
	require.Zero(t, l.Requeues)
	require.False(t, l.FirstFailedAt.Before(begin.Truncate(time.Microsecond)), name)
	require.False(t, l.LastFailedAt.After(time.Now()), name)
	if r.redeliveries == 0 {
		require.Equal(t, l.FirstFailedAt, l.LastFailedAt, name)
	} else {
		require.True(t, l.FirstFailedAt.Before(l.LastFailedAt), name)
	}

	for key, want := range map[string]string{
		"tenant": "Ærø " + name, "correlation_id": "correlation-" + name, "empty": "",
		"reason_poisoned": r.reason, "topic_poisoned": tried, "handler_poisoned": name, "answerfeed_error": l.Error,
	} {
		value, there := l.Metadata[key]
		require.True(t, there, "%s: metadata %s", name, key)
		require.Equal(t, want, value, "%s: metadata %s", name, key)
	}
	keys := []string{
		"answerfeed_attempts", "answerfeed_error", "answerfeed_first_failed_at", "answerfeed_last_failed_at", "correlation_id", "empty",
		"handler_poisoned", "reason_poisoned", "subscriber_poisoned", "tenant", "topic_poisoned",
	}
	if r.redeliveries > 0 {
		keys = append(keys, "answerfeed_redeliveries")
	}
	require.Equal(t, slices.Sorted(slices.Values(keys)), slices.Sorted(maps.Keys(l.Metadata)), "%s: nothing else", name)
}
