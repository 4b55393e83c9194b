package cli

import (
	"context"
	"database/sql"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

const posts = `<?xml version="1.0" encoding="utf-8"?>
<posts>
  <row Id="1" PostTypeId="1" CreationDate="2014-03-13T20:10:00.123" Title="Why?" Body="&lt;p&gt;Tell me.&lt;/p&gt;" Tags="&lt;algebra&gt;&lt;proofs&gt;" OwnerUserId="7" />
  <row Id="2" PostTypeId="2" ParentId="1" CreationDate="2014-03-13T21:10:00.123" Body="&lt;p&gt;So.&lt;/p&gt;" OwnerUserId="8" />
  <row Id="3" PostTypeId="2" ParentId="1" CreationDate="2014-03-14T21:10:00.123" Body="&lt;p&gt;Or so.&lt;/p&gt;" />
  <row Id="4" PostTypeId="5" CreationDate="2014-03-14T21:10:00.123" Body="" />
</posts>
`

func noSite(file string) string {
	return file + ": without a site's name its ids are q1, a1 and so on, as every other site's would be; --site NAME keeps them apart\n"
}

func TestImport(t *testing.T) {
	here(t)
	write(t, "Posts.xml", posts)
	for range 2 {
		r := worker(t, "import", "stackexchange", "Posts.xml")
		require.Equal(t, result{exitDone, "", noSite("Posts.xml") + "Posts.xml: 1 questions, 2 answers, 1 other posts passed over; published 3\n"}, r)
	}
	all := queues(t)
	require.EqualValues(t, 2, all["question-added.feed"].Ready)
	require.EqualValues(t, 4, all["answer-added.leaderboard"].Ready)
}

func TestImport_BrokenFiles(t *testing.T) {
	here(t)
	require.Equal(t, exitDone, worker(t, "migrate").code)
	cut, _, _ := strings.Cut(posts, `ParentId="1" CreationDate="2014-03-14`)
	write(t, "cut.xml", cut)
	write(t, "text.xml", "these are no posts")
	write(t, "other.xml", "<users><row Id=\"1\"/></users>")
	write(t, "empty.xml", "")
	tests := map[string]struct {
		says      string
		published int
	}{
		"cut.xml":   {`worker: cut\.xml: read posts at byte \d+: `, 2},
		"text.xml":  {`worker: text\.xml: read posts at byte \d+: `, 0},
		"other.xml": {`worker: other\.xml: read posts at byte 0: `, 0},
		"empty.xml": {`worker: empty\.xml: read posts at byte 0: `, 0},
		"none.xml":  {`worker: open none\.xml: no such file`, 0},
		".":         {`worker: \.: .*is a directory`, 0},
	}
	total := 0
	for name, test := range tests {
		r := worker(t, "import", "stackexchange", name)
		require.Equal(t, exitFailed, r.code)
		require.Regexp(t, test.says, r.err)
		total += test.published
		if test.published > 0 {
			require.Contains(t, r.err, name+": 1 questions, 1 answers, 0 other posts passed over; published 2\n")
		}
	}
	all := queues(t)
	require.EqualValues(t, total, all["question-added.feed"].Ready+all["answer-added.feed"].Ready)
}

func TestImport_BadRowIsToldAndTheOthersGoOut(t *testing.T) {
	here(t)
	write(t, "Posts.xml", strings.Replace(posts, `Id="2" PostTypeId`, `Id="" PostTypeId`, 1))
	r := worker(t, "import", "stackexchange", "Posts.xml")
	require.Equal(t, exitFailed, r.code)
	require.Regexp(t, `(?m)\nPosts\.xml: byte 2\d\d: .+\nPosts\.xml: 1 questions, 1 answers, 1 other posts passed over; published 2\n$`, r.err)
}

func TestImport_Options(t *testing.T) {
	here(t)
	write(t, "Posts.xml", posts)
	r := worker(t, "import", "stackexchange", "--subject", "maths", "--grade-tag", "proofs=college", "--grade-tag", "algebra=school", "Posts.xml")
	require.Equal(t, exitDone, r.code, r.err)
	db := open(t)
	var payload []byte
	require.NoError(t, db.Read().QueryRowContext(t.Context(), `SELECT payload FROM queue_messages WHERE CAST(payload AS TEXT) LIKE '%Why?%'`).Scan(&payload))
	require.Contains(t, string(payload), `"subject":"maths","grade":"school"`)
}

func TestImport_Sites(t *testing.T) {
	here(t)
	require.NoError(t, os.MkdirAll("math.stackexchange.com", 0o700))
	write(t, "math.stackexchange.com/Posts.xml", posts)
	write(t, "Posts.xml", strings.Replace(posts, `Title="Why?"`, `Title="Why&#x0E;?"`, 1))
	r := worker(t, "import", "stackexchange", "math.stackexchange.com/Posts.xml", "Posts.xml")
	require.Equal(t, result{exitDone, "", `math.stackexchange.com/Posts.xml: ids begin with math.stackexchange.com/
math.stackexchange.com/Posts.xml: 1 questions, 2 answers, 1 other posts passed over; published 3
` + noSite("Posts.xml") + `Posts.xml: 1 questions, 2 answers, 1 other posts passed over; published 3
Posts.xml: replaced 1 characters that XML forbids, the first on line 3
`}, r)
	require.Equal(t, exitDone, worker(t, "import", "stackexchange", "--site", "physics", "Posts.xml").code)
	require.Equal(t, exitDone, worker(t, "import", "stackexchange", "--site", "", "math.stackexchange.com/Posts.xml").code)
	r = worker(t, "import", "stackexchange", "--site", "A B", "Posts.xml")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "check the site: it must be 1 to 64 of a-z")
	rows, err := open(t).Read().QueryContext(t.Context(), `SELECT CAST(payload AS TEXT) FROM queue_messages WHERE CAST(payload AS TEXT) LIKE '%"title"%' ORDER BY 1`)
	require.NoError(t, err)
	defer rows.Close()
	ids := map[string]int{}
	for rows.Next() {
		var payload string
		require.NoError(t, rows.Scan(&payload))
		question, err := event.DecodeQuestionAdded([]byte(payload))
		require.NoError(t, err)
		ids[question.QuestionID]++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, map[string]int{"math.stackexchange.com/q1": 1, "physics/q1": 1, "q1": 2}, ids)
}

func open(t *testing.T) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), database.Config{Driver: database.SQLite, DSN: "answerfeed.db"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestBacklog(t *testing.T) {
	here(t)
	r := worker(t, "backlog")
	require.Equal(t, exitDone, r.code)
	require.Empty(t, r.err)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	require.Regexp(t, `^HANDLER +TOPIC +READY +IN FLIGHT +DELAYED +DEAD +OLDEST$`, lines[0])
	require.Len(t, lines, 7, "three topics of the feed, two of the leaderboard, and the outbox")
	require.Regexp(t, `^\(outbox\) +- +0 +- +0 +- +0s$`, lines[6])

	require.Equal(t, exitDone, workerWith(t, t.Context(), answerLine(1)+answerLine(2), "publish").code)
	r = worker(t, "backlog", "-o", "json")
	require.Regexp(t, `(?s)^{\s+"queues": \[\s+{\s+"handler": "feed",\s+"topic": "answer-added",\s+"ready": 2,\s+"in_flight": 0,\s+"delayed": 0,\s+"dead": 0,\s+"oldest_seconds": \d+(\.\d{1,3})?\s+}`, r.out)
	require.Contains(t, r.out, `"outbox": {`)
	require.Len(t, queues(t), 5)

	store(t, "a3")
	require.Regexp(t, `(?m)^\(outbox\) +- +1 +- +0 +- +[0-9.]+m?s$`, worker(t, "backlog").out)
	require.Regexp(t, `"outbox": {\s+"waiting": 1,\s+"failing": 0,\s+"oldest_seconds": \d+(\.\d{1,3})?\s+}\s+}\s+$`, worker(t, "backlog", "-o", "json").out)
}

func TestMigrate(t *testing.T) {
	here(t)
	write(t, "worker.yaml", "migrate: false\n")
	r := worker(t, "backlog")
	require.Equal(t, exitFailed, r.code)
	require.Regexp(t, "^worker: .*run `worker migrate`\n$", r.err)

	require.Equal(t, result{exitDone, "", "tables and queues are up to date\n"}, worker(t, "migrate"))
	require.Equal(t, result{exitDone, "", "tables and queues are up to date\n"}, worker(t, "migrate"))
	require.Len(t, queues(t), 5)

	require.Equal(t, exitDone, workerWith(t, t.Context(), answerLine(1), "publish").code)
	r = worker(t, "migrate", "--prune", "leaderboard", "--yes")
	require.Equal(t, exitDone, r.code)
	require.Contains(t, r.err, "removed answer-added.leaderboard\nremoved answer-added.leaderboard.dead\n"+
		"removed answer-removed.leaderboard\nremoved answer-removed.leaderboard.dead\n")
	require.Len(t, queues(t), 3)
	r = worker(t, "migrate", "--prune", "nobody")
	require.Equal(t, result{exitFailed, "", "worker: handler \"nobody\" has no queues; see `worker backlog`\n"}, r)
}

func TestMigrate_SchemaOfANewerWorker(t *testing.T) {
	here(t)
	require.Equal(t, exitDone, worker(t, "migrate").code)
	require.NoError(t, open(t).Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE answerfeed_schema_needs SET min_worker = 9999")
		return err
	}))
	for _, verb := range [][]string{{"migrate"}, {"run"}, {"backlog"}, {"publish"}} {
		r := worker(t, verb...)
		require.Equal(t, exitFailed, r.code)
		require.Empty(t, r.out)
		require.Regexp(t, `^worker: schema does not fit this worker: .*run a newer worker\n$`, r.err)
	}
}

func TestRun(t *testing.T) {
	here(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log output
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, stock(Options{Args: []string{"run", "--listen", "127.0.0.1:0"}, Out: &log, Err: &log}))
	}()
	look := regexp.MustCompile(`look=(http://127\.0\.0\.1:\d+/)`)
	eventually(t, func() bool { return look.MatchString(log.String()) })
	url := look.FindStringSubmatch(log.String())[1]

	write(t, "Posts.xml", posts)
	require.Equal(t, exitDone, worker(t, "import", "stackexchange", "Posts.xml").code)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	eventually(t, func() bool {
		r, err := client.Get(url + "api/feed")
		require.NoError(t, err)
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return strings.Contains(string(body), `"answer_count":2`)
	})
	write(t, "worker.yaml", "web: {listen: '"+strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")+"'}\n")
	require.Equal(t, result{exitDone, "", "ready\n"}, worker(t, "health"))
	stop()
	require.Equal(t, exitDone, <-code)
	r := worker(t, "health")
	require.Equal(t, exitFailed, r.code)
	require.Regexp(t, `^worker: the worker does not answer: .*refused\n$`, r.err)
	require.NotContains(t, log.String(), "ERR")
	require.Len(t, strings.Split(strings.TrimSpace(log.String()), "\n"), 2, "a line for the start and one for the end: %s", log.String())
}

func TestRun_WhatItCannotHave(t *testing.T) {
	here(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	require.NoError(t, os.WriteFile("file", nil, 0o600))
	write(t, "under.yaml", "database: {dsn: file/x.db}\n")
	write(t, "proc.yaml", "transport: {sql: {dsn: /proc/x.db}}\n")
	for says, test := range map[string]struct {
		code int
		args []string
	}{
		"is already in use by another program":          {exitFailed, []string{"run", "--listen", taken.Addr().String()}},
		"check its permissions":                         {exitFailed, []string{"run", "--config", "proc.yaml", "--listen", "127.0.0.1:0"}},
		"names a file in a directory that is not there": {exitUsage, []string{"run", "--config", "under.yaml", "--listen", "127.0.0.1:0"}},
	} {
		r := worker(t, test.args...)
		require.Equal(t, test.code, r.code, says)
		require.Contains(t, r.err, says)
		require.Equal(t, 1, strings.Count(r.err, "\n"), "one sentence: %s", r.err)
	}
}
