package deadletter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/printable"
	"github.com/answerfeed/answerfeed/internal/producer"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// exported is the one line of a letter.
func exported(t testing.TB, r *rig, id string) []byte {
	t.Helper()
	var out bytes.Buffer
	result, err := r.desk.Export(context.Background(), deadletter.Selection{IDs: []string{id}}, deadletter.Options{}, &out)
	require.NoError(t, err)
	require.Equal(t, 1, result.Done)
	return out.Bytes()
}

// What is exported is what publish reads back, byte for byte, for the same
// handler alone.
func FuzzExport(f *testing.F) {
	r := newRig(f, database.SQLite)
	for _, payload := range []string{
		``, `{}`, `{"a":1}`, ` {"a":1}`, "{\"a\":1}\n", "{\n}", `{"a":"<&>\u2028"}`, "{\"a\":\"\u2028\"}", `"text"`, `"\"text\""`, `5`, `null`, `[1]`,
		"\xff\x00", "{\"a\":\"\xff\"}", `{"a":1}{"b":2}`, `{"a":1`, "\r\n", `{"a":"` + "\t" + `"}`, `{"a":1,"a":2}`, strings.Repeat(`{"a":`, 9500) + "1" + strings.Repeat("}", 9500),
	} {
		f.Add([]byte(payload), "k", "v", "c1")
	}
	f.Add([]byte("{\"a\":\"\u009b\u202e\"}"), "\u009b", "\u202e\x7f", "c\u2066")
	f.Add([]byte(`{}`), "k\x00\xff", "<v>\n", "c\x00")
	f.Fuzz(func(t *testing.T, payload []byte, key, value, correlation string) {
		l := letter(func(l *deadletter.Letter) {
			l.Payload, l.Metadata, l.CorrelationID = payload, map[string]string{key: value}, correlation
			l.Identity = "f" + string(payload[:min(len(payload), 8)]) + key + value
		})
		l.Requeues = len(payload) % 3
		require.NoError(t, r.store.Save(context.Background(), l))
		stored, err := r.store.Get(context.Background(), l.ID)
		require.NoError(t, err)
		line := exported(t, r, l.ID)
		require.Equal(t, 1, bytes.Count(line, []byte("\n")))
		require.True(t, utf8.Valid(line))
		require.True(t, json.Valid(line))
		require.False(t, printable.Commands(line))

		lines := 0
		require.NoError(t, producer.Lines(bytes.NewReader(line), func(text []byte, _ int, _ int64, err error) error {
			require.NoError(t, err)
			lines++
			item, err := producer.ParseLine(text, true)
			require.NoError(t, err)
			require.Equal(t, "answer-added.feed", item.Topic)
			require.True(t, bytes.Equal(stored.Payload, item.Message.Payload))
			for k, v := range stored.Metadata {
				if k != transport.KeyCorrelationID && !strings.HasPrefix(k, "answerfeed_") && !strings.HasSuffix(k, "_poisoned") {
					require.Equal(t, strings.ToValidUTF8(v, "\uFFFD"), item.Message.Metadata[strings.ToValidUTF8(k, "\uFFFD")])
				}
			}
			return nil
		}))
		require.Equal(t, 1, lines)
	})
}

func TestExport(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		r := newRig(t, driver)
		large := letter(identity("large"), func(l *deadletter.Letter) { l.Payload = bytes.Repeat([]byte{0xff}, 7<<20) })
		small := letter(func(l *deadletter.Letter) {
			l.Payload = []byte(`{"answer_id":"a1"}`)
			l.Metadata = failed
			l.LastFailedAt = large.LastFailedAt.Add(1)
		})
		other := letter(func(l *deadletter.Letter) { l.Handler, l.Payload = "leaderboard", []byte("\xff") })
		r.save(t, large, small, other)
		var out bytes.Buffer
		refused := map[string]error{}
		result, err := r.desk.Export(t.Context(), deadletter.Selection{}, deadletter.Options{Refused: func(id string, err error) { refused[id] = err }}, &out)
		require.NoError(t, err)
		require.Equal(t, deadletter.Result{Selected: 3, Done: 2, Refused: 1}, result)
		require.ErrorContains(t, refused[large.ID], "publish reads 8388608")
		require.Contains(t, out.String(), `{"topic":"answer-added","handler":"feed","metadata":{"answerfeed_requeues":"1","correlation_id":"c1","own":"kept","traceparent":"00-1"},"data":{"answer_id":"a1"}}`+"\n")
		require.Contains(t, out.String(), `"handler":"leaderboard","metadata":{"answerfeed_requeues":"1","correlation_id":"c1"},"data_base64":"/w=="}`+"\n")
		require.Equal(t, deadletter.Dead, r.state(t, small.ID), "it stays what it is")
		requireExact(t, r.db)

		_, err = r.desk.Discard(t.Context(), deadletter.Selection{IDs: []string{small.ID}}, deadletter.Options{})
		require.NoError(t, err)
		require.NotEmpty(t, exported(t, r, small.ID), "in whatever state, by its id")
		acts, err := r.desk.Audit(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, "export", acts[2].Action)
		require.Equal(t, 2, acts[2].Letters)
		line, _, _ := strings.Cut(out.String(), "\n")
		require.LessOrEqual(t, len(line), deadletter.MaxLine)
	})
}
