package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answerLine is one good line of NDJSON.
func answerLine(n int) string {
	return fmt.Sprintf(`{"topic":"answer-added","data":{"answer_id":"a%d","question_id":"q1","occurred_at":"2026-01-02T03:04:05Z"}}`+"\n", n)
}

// private is in payloads, and must be in no output.
const private = "pr1vate-words"

func TestPublish_File(t *testing.T) {
	here(t)
	write(t, "events.ndjson", answerLine(1)+"\n"+answerLine(2)+strings.TrimSpace(answerLine(3)))
	r := worker(t, "publish", "events.ndjson")
	require.Equal(t, result{exitDone, "", "published 3, refused 0\n"}, r)
	all := queues(t)
	require.EqualValues(t, 3, all["answer-added.feed"].Ready)
	require.EqualValues(t, 3, all["answer-added.leaderboard"].Ready)
	require.EqualValues(t, 0, all["question-added.feed"].Ready)
}

func TestPublish_StandardInput(t *testing.T) {
	here(t)
	for _, args := range [][]string{{"publish"}, {"publish", "-"}} {
		r := workerWith(t, t.Context(), answerLine(1)+answerLine(2), args...)
		require.Equal(t, result{exitDone, "", "published 2, refused 0\n"}, r)
	}
	r := workerWith(t, t.Context(), "", "publish")
	require.Equal(t, result{exitDone, "", "published 0, refused 0\n"}, r)
	r = workerWith(t, t.Context(), "nonsense\n", "publish")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "<stdin>:1: ")
}

func TestPublish_BadLinesAreToldAndTheOthersGoOut(t *testing.T) {
	here(t)
	bad := []struct{ line, says string }{
		{`{"topic":"answer-added","data":{"title":"` + private, "ends too early"},
		{`nonsense`, "malformed JSON"},
		{`{"topic":"answer-added","data":{"answer_id":"` + private + "\xff\"}}", "UTF-8"},
		{`{"topic":"answer-added","data":{"answer_id":"` + private + `"}}`, "question_id: missing"},
		{`{"topic":"answer-added","data":{"answer_id":"` + private + `\u0000","question_id":"q","occurred_at":"2026-01-02T03:04:05Z"}}`, "NUL"},
		{`{"topic":"answer-added","data":{"answer_id":"","question_id":"` + private + `","occurred_at":"2026-01-02T03:04:05Z"}}`, "answer_id: empty"},
		{`{"topic":"answer-added","data":{"answer_id":7,"question_id":"` + private + `"}}`, "answer_id: not a string"},
		{`{"topic":"answer-added","data":{"answer_id":"a","question_id":"` + private + `","occurred_at":"9999-01-01T00:00:00Z"}}`, "24 hours ahead"},
		{`{"topic":"answer-added","data":{"x":` + strings.Repeat("[", 20000), "malformed JSON"},
		{`{"topic":"answer-added","data":{"excerpt":"` + strings.Repeat(private, 200000) + `"}}`, "too-large"},
		{`{"topic":"nobody-listens","data":{"x":"` + private + `"}}`, `nobody listens to "nobody-listens"`},
		{`{"topic":"answer-added","handler":"nobody","data":{"answer_id":"` + private + `","question_id":"q","occurred_at":"2026-01-02T03:04:05Z"}}`, `nobody listens to "answer-added.nobody"`},
		{strings.Repeat(private, 1<<20), "longer than 8388608 bytes"},
	}
	var text strings.Builder
	for i, b := range bad {
		text.WriteString(answerLine(i) + b.line + "\n")
	}
	text.WriteString(answerLine(len(bad)))
	write(t, "events.ndjson", text.String())
	write(t, "more.ndjson", answerLine(99)+"{}\n")

	r := worker(t, "publish", "events.ndjson", "more.ndjson")
	require.Equal(t, exitFailed, r.code)
	require.Empty(t, r.out)
	for i, b := range bad {
		prefix := fmt.Sprintf("events.ndjson:%d: ", 2*i+2)
		lines := 0
		for line := range strings.Lines(r.err) {
			if strings.HasPrefix(line, prefix) {
				lines++
				require.Contains(t, line, b.says)
			}
		}
		require.Equal(t, 1, lines, "%s in %s", prefix, r.err)
	}
	require.Contains(t, r.err, "more.ndjson:2: topic")
	require.Contains(t, r.err, fmt.Sprintf("published %d, refused %d\n", len(bad)+2, len(bad)+1))
	require.NotContains(t, r.err, private)
	require.NotContains(t, r.err, "worker: ", "all has been told")
	require.EqualValues(t, len(bad)+2, queues(t)["answer-added.feed"].Ready)
}

func TestPublish_ToOneHandler(t *testing.T) {
	here(t)
	line := strings.Replace(answerLine(1), `{"topic"`, `{"handler":"leaderboard","topic"`, 1)
	require.Equal(t, result{exitDone, "", "published 1, refused 0\n"}, workerWith(t, t.Context(), line, "publish"))
	all := queues(t)
	require.EqualValues(t, 1, all["answer-added.leaderboard"].Ready)
	require.Zero(t, all["answer-added.feed"].Ready)
}

func TestPublish_Raw(t *testing.T) {
	here(t)
	lines := `{"topic":"answer-added","data":"not JSON {"}
{"topic":"answer-added","data":[1,2]}
{"topic":"answer-added","data":null}
{"topic":"answer-added","data":{"answer_id":7}}
{"topic":"answer-added","data_base64":"` + base64.StdEncoding.EncodeToString([]byte("\xff\x00")) + `"}
{"topic":"answer-added","data":"` + strings.Repeat("x", 2<<20) + `"}
`
	require.Equal(t, result{exitDone, "", "published 6, refused 0\n"}, workerWith(t, t.Context(), lines, "publish", "--raw"))
	require.EqualValues(t, 6, queues(t)["answer-added.feed"].Ready)
	r := workerWith(t, t.Context(), lines, "publish")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "published 0, refused 6")
	r = workerWith(t, t.Context(), "{", "publish", "--raw")
	require.Equal(t, exitFailed, r.code, "a line must be one all the same")
}

func TestPublish_FilesThatCannotBeRead(t *testing.T) {
	here(t)
	write(t, "good.ndjson", answerLine(1))
	require.NoError(t, os.Mkdir("folder", 0o700))
	for _, name := range []string{"none.ndjson", "folder"} {
		r := worker(t, "publish", "good.ndjson", name, "good.ndjson")
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.err, "published 1, refused 0", "what went out before it")
		require.Contains(t, r.err, "worker: ")
		require.Contains(t, r.err, name)
	}
}

func TestPublish_Interrupted(t *testing.T) {
	here(t)
	require.Equal(t, exitDone, worker(t, "migrate").code)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := workerWith(t, ctx, answerLine(1), "publish")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "cancel")
}

func TestPublish_DatabaseThatCannotBeUsed(t *testing.T) {
	here(t)
	write(t, "worker.yaml", "transport: {sql: {dsn: /proc/answerfeed.db}}\ndatabase: {dsn: /proc/answerfeed.db}\n")
	r := workerWith(t, t.Context(), answerLine(1), "publish")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "cannot be written to")
	require.Equal(t, 1, strings.Count(r.err, "\n"), "one sentence")
}
