package faults

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/producer"
)

// measured is how many answers the drain benchmark measures, after warm of
// them: the start of the process is no part of the rate.
const measured, warm = 10_000, 2_000

// The drain rate of the embedded default: both handlers, real binary, real
// file. An answer is two deliveries, one to each handler. Run it with
// -benchtime=1x.
func BenchmarkDrain(b *testing.B) {
	for _, waiting := range []int{0, 1_000_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			for b.Loop() {
				p := onSQLite(b)
				client := p.open(b)
				publish(b, client, questions((warm+measured)/4))
				w := p.start(b)
				w.drained(b)
				w.kill()
				for n := 0; n < warm+measured+waiting; n += warm + measured {
					publish(b, client, answers(n, warm+measured))
				}

				db := p.reader(b)
				w = launch(b, p.command("run", "--listen", "127.0.0.1:0"))
				warmed, _ := reached(b, db, 2*warm)
				done, deliveries := reached(b, db, 2*(warm+measured))
				b.ReportMetric(float64(deliveries-2*warm)/2/done.Sub(warmed).Seconds(), "answers/s")
				b.ReportMetric(w.memory(b), "MB-resident")
				w.kill()
			}
		})
	}
}

// reached waits for so many deliveries to have taken effect and returns when,
// and how many there are then.
func reached(b *testing.B, db *sql.DB, deliveries int) (time.Time, int) {
	for {
		n := count(b, db, "answers") + count(b, db, "leaderboard_answers")
		if n >= deliveries {
			return time.Now(), n
		}
		<-time.After(2 * time.Millisecond)
	}
}

// How long after Publish began, in another process, an answer is visible, at
// 200 a second.
func BenchmarkVisible(b *testing.B) {
	const n = 4000
	p := onSQLite(b)
	client := p.open(b)
	publish(b, client, questions(n/4))
	w := p.start(b)
	w.drained(b)
	db := p.reader(b)
	for b.Loop() {
		lags := lags(b, client, db, n)
		for _, percentile := range []int{50, 95, 99} {
			b.ReportMetric(ms(lags, percentile), fmt.Sprintf("ms-p%d", percentile))
		}
	}
}

// The feed's lag while another handler of the same topic sleeps 10 s over
// each message, against its lag alone.
func BenchmarkBesideASleeper(b *testing.B) {
	const n = 2000
	measure := func(sleeps bool) []time.Duration {
		p := onSQLite(b)
		p.config(b, fmt.Sprintf("handlers:\n  sleeper:\n    enabled: %t\n    timeout: 30s\n", sleeps))
		client := p.open(b, sleeper())
		publish(b, client, questions(n/4))
		w := p.startProgram(b, "sleeper")
		l := lags(b, client, p.reader(b), n)
		w.kill()
		return l
	}
	for b.Loop() {
		alone, beside := measure(false), measure(true)
		for _, p := range []int{50, 99} {
			b.ReportMetric(ms(alone, p), fmt.Sprintf("ms-alone-p%d", p))
			b.ReportMetric(ms(beside, p), fmt.Sprintf("ms-beside-p%d", p))
			b.ReportMetric(ms(beside, p)/ms(alone, p), fmt.Sprintf("ratio-p%d", p))
		}
	}
}

// lags publishes n answers at 200 a second and returns how long each took to
// be visible, in order.
func lags(b *testing.B, client *app.Client, db *sql.DB, n int) []time.Duration {
	const rate = 200
	all := make([]time.Duration, 0, n)
	begin := time.Now()
	for i, m := range answers(0, n) {
		<-time.After(time.Until(begin.Add(time.Duration(i) * time.Second / rate)))
		at := time.Now()
		require.NoError(b, client.Publisher().Publish(event.TopicAnswerAdded, m))
		for !visible(b, db, m.UUID) {
			<-time.After(200 * time.Microsecond)
		}
		all = append(all, time.Since(at))
	}
	slices.Sort(all)
	return all
}

func ms(sorted []time.Duration, percentile int) float64 {
	return float64(sorted[len(sorted)*percentile/100].Microseconds()) / 1000
}

func publish(t testing.TB, client *app.Client, msgs []*message.Message) {
	t.Helper()
	topic := event.TopicAnswerAdded
	if event.Validate(topic, msgs[0].Payload) != nil {
		topic = event.TopicQuestionAdded
	}
	for part := range slices.Chunk(msgs, 5000) {
		require.NoError(t, client.Publisher().Publish(topic, part...))
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func questions(n int) []*message.Message {
	msgs := make([]*message.Message, 0, n)
	for i := range n {
		id := fmt.Sprintf("q%07d", i)
		payload, _ := event.QuestionAdded{ // what is written here is valid
			QuestionID: id, Title: "Question " + id, Subject: fmt.Sprintf("subject-%d", i%20), Grade: "college",
			OccurredAt: epoch.Add(time.Duration(i) * time.Second), EventID: "event-" + id,
		}.Encode()
		msgs = append(msgs, producer.NewMessage(id, payload, nil))
	}
	return msgs
}

// answers from number first on, four to a question, of 1,000 authors.
func answers(first, n int) []*message.Message {
	msgs := make([]*message.Message, 0, n)
	for i := first; i < first+n; i++ {
		id := fmt.Sprintf("a%07d", i)
		payload, _ := event.AnswerAdded{
			AnswerID: id, QuestionID: fmt.Sprintf("q%07d", i/4), AuthorID: fmt.Sprintf("author-%d", i%1000),
			Excerpt:    "An answer of ordinary length, as people write them when they know the matter and have a minute.",
			OccurredAt: epoch.Add(time.Duration(i) * time.Second), EventID: "event-" + id,
		}.Encode()
		msgs = append(msgs, producer.NewMessage(id, payload, nil))
	}
	return msgs
}

func count(t testing.TB, db *sql.DB, table string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(context.Background(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// visible reports that the answer is in the feed's read model.
func visible(t testing.TB, db *sql.DB, id string) (there bool) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(context.Background(), `SELECT EXISTS (SELECT 1 FROM answers WHERE question_id = ? AND answer_id = ?)`,
		questionOf(t, id), id).Scan(&there))
	return there
}

// questionOf is the question of one of answers.
func questionOf(t testing.TB, id string) string {
	t.Helper()
	n, err := strconv.Atoi(id[1:])
	require.NoError(t, err)
	return fmt.Sprintf("q%07d", n/4)
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// memory is the most that was resident of the process, in MB.
func (w *worker) memory(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	require.NoError(t, err)
	kb, err := strconv.Atoi(string(highWater.FindSubmatch(status)[1]))
	require.NoError(t, err)
	return float64(kb) / 1024
}
