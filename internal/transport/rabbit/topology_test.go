package rabbit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDelayName(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"q.delay.5s": 5 * time.Second, "q.delay.2m": 2 * time.Minute, "q.delay.10m": 10 * time.Minute,
		"q.delay.1h": time.Hour, "q.delay.30h": 30 * time.Hour, "q.delay.1h30m": 90 * time.Minute,
		"q.delay.1h0m5s": time.Hour + 5*time.Second, "q.delay.1m30s": 90 * time.Second,
		"q.delay.500ms": 500 * time.Millisecond, "q.delay.1.5s": 1500 * time.Millisecond, "q.delay.1m0.5s": time.Minute + 500*time.Millisecond,
	} {
		require.Equal(t, want, delayName("q", d))
	}
}

func TestShortDuration_IsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1, 1<<40).Draw(t, "ms")) * time.Millisecond % maxDelay
		back, err := time.ParseDuration(shortDuration(d))
		require.NoError(t, err)
		require.Equal(t, d, back)
	})
}

func TestRoundDelay(t *testing.T) {
	schedule := []time.Duration{time.Hour, 5 * time.Second, 30 * time.Second, 2 * time.Minute}
	for _, test := range []struct{ want, is time.Duration }{
		{0, 5 * time.Second}, {-1, 5 * time.Second}, {5 * time.Second, 5 * time.Second}, {5*time.Second + 1, 30 * time.Second},
		{time.Hour, time.Hour}, {time.Hour + 1, 2 * time.Hour}, {30 * time.Hour, 30 * time.Hour},
		{31 * time.Hour, 48 * time.Hour}, {72 * time.Hour, 72 * time.Hour}, {1 << 62, maxDelay},
	} {
		require.Equal(t, test.is, roundDelay(schedule, test.want), test.want)
	}
	require.Equal(t, 10*time.Minute, roundDelay(nil, 7*time.Minute))
	require.Equal(t, time.Second, roundDelay([]time.Duration{0}, 0))
}

func TestRoundDelay_IsEnoughAndOneOfFew(t *testing.T) {
	names := map[time.Duration]bool{}
	rapid.Check(t, func(t *rapid.T) {
		want := time.Duration(rapid.Int64Range(0, int64(maxDelay)).Draw(t, "want"))
		d := roundDelay(nil, want)
		require.GreaterOrEqual(t, d, want)
		require.LessOrEqual(t, d, maxDelay)
		require.True(t, want < 10*time.Second || d <= 2*want+24*time.Hour)
		names[d] = true
	})
	require.Less(t, len(names), 70)
}

func TestDelayArguments(t *testing.T) {
	a := delayArguments("q", "e", 1500*time.Microsecond)
	require.Equal(t, int64(2), a["x-message-ttl"], "never before its time")
	a = delayArguments("q", "e", maxDelay)
	require.Less(t, a["x-message-ttl"], int64(1)<<32)
	require.NotContains(t, a, "x-expires")
	require.NoError(t, a.Validate())
	require.Equal(t, "q", a["x-dead-letter-routing-key"])
}

func TestDeathOf(t *testing.T) {
	entry := func(queue, reason string) any { return amqp.Table{"queue": queue, "reason": reason, "count": int64(1)} }
	for name, test := range map[string]struct {
		headers amqp.Table
		found   bool
		want    string
	}{
		"none":                       {amqp.Table{"x-delivery-count": int64(3)}, false, ""},
		"not a list":                 {amqp.Table{"x-death": "forged"}, false, ""},
		"the latest comes first":     {amqp.Table{"x-death": []any{entry("q", "maxlen"), entry("q", "expired")}}, true, "maxlen"},
		"a delay is no death":        {amqp.Table{"x-death": []any{entry("q.delay.5s", "expired"), entry("q", "delivery_limit")}}, true, "delivery-limit"},
		"the last one that is named": {amqp.Table{"x-death": []any{entry("q", "maxlen"), entry("q", "expired")}, "x-last-death-queue": "q", "x-last-death-reason": "expired"}, true, "expired"},
		"of another queue alone":     {amqp.Table{"x-death": []any{"forged", entry("other", "rejected")}}, true, "rejected"},
		"of any text":                {amqp.Table{"x-death": []any{entry("q", strings.Repeat("x", 1000))}}, true, "unknown"},
	} {
		d, found := deathOf(test.headers, "q")
		require.Equal(t, test.found, found, name)
		require.Equal(t, test.want, d.reason, name)
		require.Less(t, len(d.text()), 500, name)
	}
}

func TestTroublesOfPolicies(t *testing.T) {
	for name, test := range map[string]struct {
		kind  queueKind
		json  string
		keys  []string
		loses bool
	}{
		"none, on some versions":          {mainQueue, `{"policy":"","effective_policy_definition":[]}`, nil, false},
		"none, on others":                 {mainQueue, `{"policy":null,"operator_policy":null,"effective_policy_definition":null}`, nil, false},
		"of no matter":                    {mainQueue, `{"policy":"p","effective_policy_definition":{"max-length":5,"overflow":"reject-publish","queue-leader-locator":"balanced"}}`, nil, false},
		"a length, and publishers wait":   {mainQueue, `{"policy":"p","effective_policy_definition":{"max-length":5}}`, nil, false},
		"a length that drops":             {mainQueue, `{"policy":"p","effective_policy_definition":{"max-length":5,"overflow":"drop-head"}}`, []string{"max-length", "overflow"}, true},
		"a length of a queue of the dead": {deadQueue, `{"policy":"p","effective_policy_definition":{"max-length-bytes":5}}`, []string{"max-length-bytes"}, true},
		"an operator's":                   {delayQueue, `{"policy":null,"operator_policy":"p","effective_policy_definition":{"expires":5}}`, []string{"expires"}, true},
		"letters in a circle":             {lettersQueue, `{"policy":"p","effective_policy_definition":{"message-ttl":5}}`, []string{"message-ttl"}, false},
		"a limit":                         {mainQueue, `{"policy":"p","effective_policy_definition":{"delivery-limit":5}}`, []string{"delivery-limit"}, false},
		"a limit of a classic queue":      {heldQueue, `{"policy":"p","effective_policy_definition":{"delivery-limit":5}}`, nil, false},
	} {
		var p queuePolicy
		require.NoError(t, json.Unmarshal([]byte(test.json), &p), name)
		var keys []string
		for _, trouble := range p.troubles("q", test.kind) {
			keys = append(keys, trouble.Key)
			require.Equal(t, "p", trouble.Policy, name)
			require.Equal(t, test.loses, trouble.Loses, name)
		}
		require.Equal(t, test.keys, keys, name)
	}
}
