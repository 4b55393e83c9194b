package failures

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// refused are payloads that no handler takes: one of each kind, and mutations of
// a good one.
func refused(r *rand.Rand, mutations int) map[string][]byte {
	const good = `{"answer_id":"a1","question_id":"q1","author_id":"ann","occurred_at":"2026-01-02T03:04:05Z"}`
	all := map[string][]byte{
		"nothing":          {},
		"malformed JSON":   []byte(`{"answer_id":"a`),
		"an array":         []byte(`["a"]`),
		"wrong types":      []byte(`{"answer_id":{},"question_id":7,"occurred_at":[]}`),
		"missing fields":   []byte(`{"answer_id":"a1"}`),
		"invalid UTF-8":    []byte("{\"answer_id\":\"a\xff\xfe\"}"),
		"NUL":              []byte("{\"answer_id\":\"a\x00\"}"),
		"escaped NUL":      []byte(`{"answer_id":"\u0000","question_id":"q1","occurred_at":"2026-01-02T03:04:05Z"}`),
		"2 MiB":            []byte(`{"excerpt":"` + strings.Repeat("x", 2<<20) + `"}`),
		"deep nesting":     []byte(strings.Repeat(`{"a":`, 50_000)),
		"year 9999":        []byte(strings.Replace(good, "2026", "9999", 1)),
		"empty ids":        []byte(`{"answer_id":"","question_id":"","occurred_at":"2026-01-02T03:04:05Z"}`),
		"line breaks":      []byte("\r\n\r\n"),
		"quotes of SQL":    []byte(`'); DROP TABLE dead_letters; --`),
		"all bytes":        allBytes(),
		"a terminal's own": []byte("\x1b[2J\x1b]0;x\a"),
	}
	for i := range mutations {
		b := []byte(good)
		for range 1 + r.IntN(8) {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		if _, err := event.DecodeAnswerAdded(b); err != nil { // else it does no harm
			all[fmt.Sprint("mutation ", i)] = b
		}
	}
	return all
}

func allBytes() []byte {
	var b []byte
	for i := range 256 {
		b = append(b, byte(i))
	}
	return b
}

// headers are one of each type that AMQP has.
var headers = map[string]any{
	"nil": nil, "text": "ü", "bytes": []byte{0xff, 0}, "true": true, "int8": int8(-8), "byte": byte(200), "int16": int16(-16), "int32": int32(-32),
	"int64": int64(math.MinInt64), "float32": float32(0.5), "float64": 1e300, "time": time.Unix(1_700_000_000, 0),
	"decimal": amqp.Decimal{Scale: 2, Value: -314}, "table": amqp.Table{"b": amqp.Table{"c": int32(1)}}, "array": []any{"x", int64(1), true, []any{}},
	// Those with a meaning, which is not what this producer gives them.
	"x-death": []any{amqp.Table{"queue": "other", "count": int64(99)}}, "x-delivery-count": "many", "answerfeed_redeliveries": int64(-1),
	"answerfeed_attempts": "x", "correlation_id": int32(7), "_watermill_message_uuid": []byte{0xfe},
}

// Whatever a producer sends is a letter that holds the same bytes, and nothing
// behind it waits.
func TestForeignContent(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		payloads := refused(rand.New(rand.NewPCG(seed, 1)), 300)
		all := handlers.All()
		client := p.open(t, all)
		w := p.run(t, all)
		want := map[string]int{}
		for name, payload := range payloads {
			m := message.NewMessage(name, payload)
			m.Metadata.Set("name", name)
			require.NoError(t, client.Publisher().Publish(event.TopicAnswerAdded, m), name)
			want[string(payload)] += 2 // feed and leaderboard
		}
		if p.amqp() {
			for name, count := range p.publishHeaders(t) {
				want[name] += 2 * count
			}
		}
		require.NoError(t, client.Publisher().Publish(event.TopicAnswerAdded,
			message.NewMessage("good", []byte(`{"answer_id":"good","question_id":"q","author_id":"somebody","occurred_at":"2026-01-02T03:04:05Z"}`))))
		total := 0
		for _, n := range want {
			total += n
		}
		db := p.reader(t)
		eventually(t, "all are letters, and what is good passes", func() bool {
			return ask[int](t, db, countLetters) >= total && ask[int](t, db, `SELECT count(*) FROM leaderboard_answers WHERE answer_id = 'good'`) == 1
		})
		w.stop(t)
		requireEmpty(t, client)
		got := map[string]int{}
		for _, l := range p.letters(t) {
			got[string(l.Payload)]++
			require.NotEmpty(t, l.Reason)
			require.NotContains(t, l.Error, "\x00")
		}
		require.Len(t, got, len(want))
		for payload, n := range want {
			require.Equal(t, n, got[payload], "letters of %.60q", payload)
		}
	})
}

// publishHeaders publishes, as a producer that knows nothing of the worker, a
// message that is no event with each header alone, and one with all of them.
// They are told apart by their payloads.
func (p place) publishHeaders(t *testing.T) map[string]int {
	t.Helper()
	conn, err := amqp.Dial(p.settings["transport.amqp.url"])
	require.NoError(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	require.NoError(t, err)
	require.NoError(t, ch.Confirm(false))
	sent := map[string]int{}
	publish := func(name string, table amqp.Table) {
		c, err := ch.PublishWithDeferredConfirm(p.settings["transport.prefix"]+event.TopicAnswerAdded, "", true, false,
			amqp.Publishing{Headers: table, Body: []byte("header " + name), DeliveryMode: amqp.Persistent})
		require.NoError(t, err, name)
		ok, err := c.WaitContext(t.Context())
		require.NoError(t, err, name)
		require.True(t, ok, name)
		sent["header "+name]++
	}
	together := amqp.Table{}
	for name, value := range headers {
		publish(name, amqp.Table{name: value})
		together[name] = value
	}
	publish("together", together)
	return sent
}

// FuzzDelivery sends payload and metadata of any kind through a worker: what is
// handled was good, and all else is a letter with the same bytes.
func FuzzDelivery(f *testing.F) {
	for _, payload := range refused(rand.New(rand.NewPCG(1, 2)), 0) {
		if len(payload) < 1<<16 {
			f.Add(payload, "key", "value")
		}
	}
	f.Add([]byte(`{}`), "", "\xff\x00")
	p := onSQLite(f)
	made := &attempts{}
	all := []handlers.Handler{made.failing("refuser", "", nil)}
	all[0].Topics = func(handlers.Env) []handlers.Topic {
		return []handlers.Topic{{Name: tried, Handle: func(context.Context, []byte) error {
			return failure.Permanent("refused", errBoom)
		}}}
	}
	change := handler("refuser", func(h *config.Handler) { h.Concurrency = 1 })
	client := p.open(f, all, change)
	w := p.run(f, all, change)
	db := p.reader(f)
	f.Cleanup(func() { w.stop(f) })
	f.Fuzz(func(t *testing.T, payload []byte, key, value string) {
		before := ask[int](t, db, countLetters)
		m := message.NewMessage("", payload)
		m.Metadata.Set(key, value)
		if err := client.Publisher().Publish(tried, m); err != nil {
			return // refused at once, with a reason
		}
		eventually(t, "it is a letter", func() bool {
			return ask[int](t, db, countLetters) > before || ask[int](t, db, `SELECT count(*) FROM dead_letters WHERE payload = $1`, payload) > 0
		})
		require.Positive(t, ask[int](t, db, `SELECT count(*) FROM dead_letters WHERE payload = $1`, payload), "byte for byte")
	})
}
