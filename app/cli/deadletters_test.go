package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// dead puts letters on the desk of the working directory, and returns their ids.
func dead(t *testing.T, letters ...deadletter.Letter) (ids []string) {
	t.Helper()
	require.Equal(t, exitDone, worker(t, "migrate").code)
	store := deadletter.New(open(t), database.Durable)
	defer store.Close()
	for i, l := range letters {
		if l.Handler == "" {
			l.Handler = "feed"
		}
		if l.Topic == "" {
			l.Topic = "answer-added"
		}
		if l.Identity == "" {
			l.Identity = fmt.Sprint("e", i)
		}
		if l.Reason == "" {
			l.Reason = "invalid"
		}
		l.Attempts, l.CorrelationID = 3, fmt.Sprint("c", i)
		if l.FirstFailedAt.IsZero() {
			l.FirstFailedAt = time.Now().Add(-time.Hour)
		}
		l.LastFailedAt = time.Date(2026, 1, 2, 3, 4, 5, 600000000, time.UTC).Add(-time.Duration(i) * time.Second)
		require.NoError(t, store.Save(t.Context(), &l))
		ids = append(ids, l.ID)
	}
	return ids
}

func decoded[T any](t *testing.T, r result) (v T) {
	t.Helper()
	require.Equal(t, exitDone, r.code, r.err)
	d := json.NewDecoder(strings.NewReader(r.out))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&v))
	return v
}

type listed struct {
	Letters []map[string]any `json:"letters"`
	Next    string           `json:"next_cursor"`
}

func TestDeadletters_List(t *testing.T) {
	here(t)
	require.Equal(t, "{\n  \"letters\": []\n}\n", worker(t, "deadletters", "list", "-o", "json").out)
	ids := dead(t, deadletter.Letter{Error: "title: missing", FirstFailedAt: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)},
		deadletter.Letter{Handler: "leaderboard", Error: "boom\x1b[31m\u202egnp.exe\nstack", Reason: "panic"}, deadletter.Letter{Payload: []byte(`{"q":"Q4711"}`)})

	page := decoded[listed](t, worker(t, "deadletters", "list", "-o", "json", "--limit", "1"))
	require.Len(t, page.Letters, 1)
	fingerprint := page.Letters[0]["fingerprint"]
	require.Regexp(t, `^[0-9a-f]{16}$`, fingerprint)
	require.Equal(t, map[string]any{
		"id": ids[0], "handler": "feed", "topic": "answer-added", "reason": "invalid", "error": "title: missing", "attempts": 3.0,
		"first_failed_at": "2026-01-02T03:04:00Z", "last_failed_at": "2026-01-02T03:04:05.6Z",
		"correlation_id": "c0", "fingerprint": fingerprint, "state": "dead",
	}, page.Letters[0])
	rest := decoded[listed](t, worker(t, "deadletters", "list", "-o", "json", "--cursor", page.Next))
	require.Len(t, rest.Letters, 2)
	require.Empty(t, rest.Next)

	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"handler":     {[]string{"--handler", "leaderboard"}, ids[1:2]},
		"reason":      {[]string{"--reason", "invalid", "--topic", "answer-added"}, []string{ids[0], ids[2]}},
		"fingerprint": {[]string{"--fingerprint", fingerprint.(string)}, ids[:1]},
		"text":        {[]string{"--text", "q4711", "--limit", "1"}, ids[2:]},
		"since a day": {[]string{"--since", "2026-01-03"}, nil},
		"until":       {[]string{"--until", "2026-01-02T03:04:05Z"}, ids[1:]}, // 05.6, 04.6, 03.6
		"long ago":    {[]string{"--until", "1d", "--since", "60000d"}, ids},
		"discarded":   {[]string{"--state", "discarded"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, l := range decoded[listed](t, worker(t, append([]string{"deadletters", "list", "-o", "json"}, test.args...)...)).Letters {
				got = append(got, l["id"].(string))
			}
			require.Equal(t, test.want, got)
		})
	}

	r := worker(t, "deadletters", "list", "--limit", "2")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	require.Regexp(t, `^ID +FAILED LAST \(UTC\) +HANDLER +TOPIC +REASON +ATTEMPTS +ERROR$`, lines[0])
	require.Regexp(t, ids[0]+` +2026-01-02 03:04:05 +feed +answer-added +invalid +3 +title: missing$`, lines[1])
	require.Contains(t, lines[2], `boom\u001b[31m\u202egnp.exe…`, "an error does nothing to the terminal")
	require.Regexp(t, `^there are more: --cursor \S+\n$`, r.err)
}

func TestDeadletters_Groups(t *testing.T) {
	here(t)
	dead(t, deadletter.Letter{Error: "row 1"}, deadletter.Letter{Error: "row 2"}, deadletter.Letter{Error: "boom", Reason: "panic"})
	all := decoded[map[string][]groupJSON](t, worker(t, "deadletters", "groups", "-o", "json"))["groups"]
	require.Len(t, all, 2)
	require.Equal(t, 2, all[0].Letters)
	require.Equal(t, "row 1", all[0].Error)
	r := worker(t, "deadletters", "groups", "--reason", "panic")
	require.Regexp(t, `^FINGERPRINT +LETTERS +HANDLER +TOPIC +REASON +FAILED LAST \(UTC\) +ERROR\n[0-9a-f]{16} +1 +feed +answer-added +panic +\S+ \S+ +boom\n$`, r.out)
}

func TestDeadletters_Show(t *testing.T) {
	here(t)
	ids := dead(t, deadletter.Letter{Payload: []byte(`{"a":"<\u001b>"}`), Error: "no\nstack", UUID: "u1", Metadata: map[string]string{"k": "v\x00"}},
		deadletter.Letter{Payload: []byte("\xff\x00")})
	r := worker(t, "deadletters", "show", ids[0])
	require.Equal(t, exitDone, r.code)
	for _, says := range []string{"id               " + ids[0], "state            dead", "error\n    no\n    stack\n", `    k: v\u0000`, "payload, 16 bytes\n    {\n      \"a\": \"<\\u001b>\"\n    }\n"} {
		require.Contains(t, r.out, says)
	}
	require.Contains(t, worker(t, "deadletters", "show", ids[1]).out, "payload, 2 bytes\n    ff 00\n")
	whole := decoded[map[string]any](t, worker(t, "deadletters", "show", ids[0], "-o", "json"))
	require.Equal(t, map[string]any{"text": `{"a":"<\u001b>"}`}, whole["payload"])
	require.Equal(t, map[string]any{"k": "v\x00"}, whole["metadata"])
	require.Len(t, whole["history"], 1)
	whole = decoded[map[string]any](t, worker(t, "deadletters", "show", ids[1], "-o", "json"))
	require.Equal(t, map[string]any{"base64": "/wA="}, whole["payload"])

	r = worker(t, "deadletters", "show", "none")
	require.Equal(t, result{exitFailed, "", "worker: no such dead letter: none\n"}, r)
}

func TestDeadletters_Requeue(t *testing.T) {
	here(t)
	ids := dead(t, deadletter.Letter{}, deadletter.Letter{}, deadletter.Letter{Handler: "leaderboard"})
	r := worker(t, "deadletters", "requeue", ids[0], "none")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "none: no such dead letter\n")
	require.Contains(t, r.err, "requeued 1 letters, 1 could not be\n")
	require.Contains(t, r.err, "action=requeue", "the audit's log line")
	r = worker(t, "deadletters", "requeue", ids[0])
	require.Equal(t, exitDone, r.code)
	require.Contains(t, r.err, "requeued 0 letters, 1 were so already\n")

	r = worker(t, "deadletters", "requeue", "--all")
	require.Equal(t, result{exitUsage, "", "worker: requeue of letters selected by a filter, and nobody can be asked: give --yes, or look with --dry-run\n"}, r)
	require.Equal(t, result{exitDone, "", "would requeue 2 letters\n"}, worker(t, "deadletters", "requeue", "--all", "--dry-run"))
	require.EqualValues(t, 1, queues(t)["answer-added.feed"].Ready)
	r = worker(t, "deadletters", "requeue", "--topic", "answer-added", "--yes", "--rate", "1000")
	require.Equal(t, exitDone, r.code, r.err)
	require.Contains(t, r.err, "requeued 2 letters\n")
	all := queues(t)
	require.EqualValues(t, 2, all["answer-added.feed"].Ready)
	require.EqualValues(t, 1, all["answer-added.leaderboard"].Ready)
	require.Zero(t, *all["answer-added.feed"].Dead)

	acts := decoded[map[string][]actJSON](t, worker(t, "deadletters", "audit", "-o", "json"))["acts"]
	require.Len(t, acts, 3)
	require.Equal(t, 2, acts[0].Letters)
	require.Equal(t, `topic="answer-added"`, acts[0].Selection)
	require.Equal(t, operator(), acts[0].Who)
	require.NotNil(t, acts[0].EndedAt)
	require.Regexp(t, `^BEGAN \(UTC\) +ENDED +WHO +WHAT +LETTERS +WHICH\n`, worker(t, "deadletters", "audit").out)
}

func TestDeadletters_Repair(t *testing.T) {
	here(t)
	id := dead(t, deadletter.Letter{Payload: []byte(`{"answer_id":"a1"}`)})[0]
	write(t, "bad.json", `{"answer_id":"a1"}`)
	write(t, "good.json", `{"answer_id":"a1","question_id":"q1","occurred_at":"2026-01-02T03:04:05Z"}`)
	write(t, "large.json", strings.Repeat(" ", 2<<20))
	for says, args := range map[string][]string{
		"invalid event: question_id: missing":      {id, "--payload", "bad.json"},
		"larger than 1048576 bytes":                {id, "--payload", "large.json"},
		"malformed event: empty":                   {id, "--payload", os.DevNull},
		"no such file":                             {id, "--payload", "none.json"},
		"--payload goes with the id of one letter": {id, id, "--payload", "good.json"},
	} {
		r := worker(t, append([]string{"deadletters", "requeue"}, args...)...)
		require.NotEqual(t, exitDone, r.code)
		require.Contains(t, r.err, says)
	}
	require.Zero(t, queues(t)["answer-added.feed"].Ready)
	r := worker(t, "deadletters", "requeue", id, "--payload", "good.json")
	require.Equal(t, exitDone, r.code, r.err)
	require.EqualValues(t, 1, queues(t)["answer-added.feed"].Ready)
	require.Regexp(t, `(?s)repaired payload, 74 bytes\n.*\npayload, 18 bytes\n`, worker(t, "deadletters", "show", id).out)
}

func TestDeadletters_DiscardAndRestore(t *testing.T) {
	here(t)
	ids := dead(t, deadletter.Letter{}, deadletter.Letter{}, deadletter.Letter{})
	require.Contains(t, worker(t, "deadletters", "discard", "--all", "--yes").err, "discarded 3 letters\n")
	require.Empty(t, decoded[listed](t, worker(t, "deadletters", "list", "-o", "json")).Letters)
	require.Len(t, decoded[listed](t, worker(t, "deadletters", "list", "-o", "json", "--state", "discarded")).Letters, 3)
	r := worker(t, "deadletters", "requeue", ids[0])
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "it is discarded, and only what is dead can be requeued")
	require.Contains(t, worker(t, "deadletters", "restore", ids[0], ids[1]).err, "restored 2 letters\n")
	require.EqualValues(t, 2, *queues(t)["answer-added.feed"].Dead)
}

func TestDeadletters_ExportIsWhatPublishReads(t *testing.T) {
	here(t)
	dead(t, deadletter.Letter{Payload: []byte(`{"answer_id":"a1"}`)}, deadletter.Letter{Handler: "leaderboard", Payload: []byte("\xff")})
	r := worker(t, "deadletters", "export")
	require.Equal(t, exitDone, r.code)
	require.Contains(t, r.err, "exported 2 letters, 0 could not be\n")
	require.Equal(t, exitFailed, workerWith(t, t.Context(), r.out, "publish").code, "neither is valid")
	require.Equal(t, exitDone, workerWith(t, t.Context(), r.out, "publish", "--raw").code)
	all := queues(t)
	require.EqualValues(t, 1, all["answer-added.feed"].Ready)
	require.EqualValues(t, 1, all["answer-added.leaderboard"].Ready)
	require.Empty(t, worker(t, "deadletters", "export", "--state", "requeued").out)
}

func TestDeadletters_WarnsOfWhatTheInboxHasForgotten(t *testing.T) {
	here(t)
	dead(t, deadletter.Letter{FirstFailedAt: time.Now().AddDate(0, 0, -31)})
	for _, flag := range []string{"--dry-run", "--yes"} {
		require.Contains(t, worker(t, "deadletters", "requeue", "--all", flag).err, "warning: 1 of them first failed more than 30 days ago")
	}
}

func TestDeadletters_Mistakes(t *testing.T) {
	here(t)
	for says, args := range map[string][]string{
		"one of the three":                      {"requeue"},
		"one of the three; see":                 {"requeue", "id", "--handler", "feed"},
		"one of the three; see worker":          {"discard", "--all", "--handler", "feed"},
		`--since "yesterday": it must be a day`: {"list", "--since", "yesterday"},
		`--until "-5m": it must be`:             {"list", "--until", "-5m"},
		"nothing is between them":               {"list", "--since", "1h", "--until", "2h"},
		`state "gone"`:                          {"list", "--state", "gone"},
		"--limit 0: it must be 1 to 1000":       {"list", "--limit", "0"},
		"a limit of 2000":                       {"groups", "--limit", "2000"},
		"a limit of -1":                         {"audit", "--limit", "-1"},
		"it is none that a list returned":       {"list", "--cursor", "x"},
		"--rate -1: it must not be below 0":     {"requeue", "--all", "--rate=-1"},
		"--rate NaN: it must not be below 0":    {"restore", "--all", "--rate", "NaN"},
		"worker deadletters show --help":        {"show"},
		"unknown command":                       {"lst"},
		"nobody can be asked: give --yes":       {"discard", "--handler", "feed"},
		"-o xml: there is table and json":       {"list", "-o", "xml"},
		"--payload goes with the id of one":     {"requeue", "--all", "--payload", "x"},
	} {
		r := worker(t, append([]string{"deadletters"}, args...)...)
		require.Equal(t, exitUsage, r.code, "%v: %s", args, r.err)
		require.Contains(t, r.err, says)
		require.Empty(t, r.out)
	}
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes ": true, "": false, "\n": false, "n\n": false, "yo\n": false} {
		var out bytes.Buffer
		require.Equal(t, want, confirm(strings.NewReader(answer), &out, "sure? "), "%q", answer)
		require.Equal(t, "sure? ", out.String())
	}
}

// A letter's text is written by whoever published it, and perhaps to attack the person at the desk.
func TestDeadletters_NothingCommandsATerminal(t *testing.T) {
	here(t)
	const commands = "\x1b[2J \u009b2J \x7f \u202egnp.exe \u2067 \u200f \u061c"
	payload := `{"title":"` + commands[len("\x1b[2J "):] + `"}`
	id := dead(t, deadletter.Letter{Error: "boom " + commands, Reason: "un\u009bkind", UUID: "u\u202e", Metadata: map[string]string{"k\u009b": commands}, Payload: []byte(payload)})[0]
	write(t, "worker.yaml", "database: {dsn: answerfeed.db}\ntransport: {prefix: \"\"}\n")
	for _, verb := range []string{"deadletters list", "deadletters list -o json", "deadletters show " + id, "deadletters show " + id + " -o json", "deadletters export",
		"deadletters groups", "deadletters groups -o json", "deadletters audit", "deadletters audit -o json", "deadletters requeue " + id + "\u009b", "config show -o json"} {
		r := worker(t, strings.Fields(verb)...)
		for _, c := range r.out + r.err {
			require.True(t, c == '\n' || c == ' ' || unicode.IsPrint(c), "%s: %U in %s", verb, c, r.out+r.err)
		}
	}
	whole := decoded[map[string]any](t, worker(t, "deadletters", "show", id, "-o", "json"))
	require.Equal(t, map[string]any{"text": payload}, whole["payload"], "which says the same")
	require.Contains(t, worker(t, "deadletters", "list", "-o", "json").out, `\u009b2J`)

	exported := worker(t, "deadletters", "export").out
	require.Equal(t, exitDone, workerWith(t, t.Context(), exported, "publish", "--raw").code)
	var published []byte
	require.NoError(t, open(t).Read().QueryRowContext(t.Context(), `SELECT payload FROM queue_messages`).Scan(&published))
	require.Equal(t, payload, string(published), "byte for byte")
}
