package failures

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// worker is an App in this process.
type worker struct {
	*app.App
	registry *prometheus.Registry
	log      *output
	stopped  bool
}

// run starts a worker that is stopped when the test ends, if it was not
// before.
func (p place) run(t testing.TB, all []handlers.Handler, change ...func(*config.Config)) *worker {
	t.Helper()
	w := &worker{registry: prometheus.NewRegistry(), log: &output{}}
	opts := p.options(t, w.log, all, change...)
	opts.Registry = w.registry
	var err error
	w.App, err = app.New(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		if !w.stopped {
			_ = w.Stop(context.Background())
		}
		if log := w.log.String(); t.Failed() {
			t.Logf("the end of the worker's log:\n%s", log[max(0, len(log)-10_000):])
		}
	})
	require.NoError(t, w.Start(t.Context()))
	return w
}

// stop drains the worker and returns how long that took.
func (w *worker) stop(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	w.stopped = true
	require.NoError(t, w.Stop(context.WithoutCancel(t.Context())))
	return time.Since(begin)
}

// counter is a metric of one handler, by the label.
func (w *worker) counter(t testing.TB, name, handler, label string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	families, _ := w.registry.Gather() // the backlog's cannot be had of a worker that has stopped
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if n := int(m.GetCounter().GetValue()); labels["handler"] == handler && n > 0 {
				counts[labels[label]] += n
			}
		}
	}
	return counts
}

// gauge is a metric of one dependency.
func (w *worker) gauge(t testing.TB, name, dependency string) int {
	t.Helper()
	families, _ := w.registry.Gather() // while the database is away, not all can be had
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && m.GetLabel()[0].GetValue() == dependency {
				return int(m.GetGauge().GetValue())
			}
		}
	}
	require.Fail(t, "no such metric", "%s of %s", name, dependency)
	return 0
}

// deliveries are those of one handler, by outcome.
func (w *worker) deliveries(t testing.TB, handler string) map[string]int {
	t.Helper()
	return w.counter(t, "answerfeed_messages_total", handler, "outcome")
}

// failed are the attempts of one handler that count as failed, by reason.
func (w *worker) failed(t testing.TB, handler string) map[string]int {
	t.Helper()
	return w.counter(t, "answerfeed_failed_attempts_total", handler, "reason")
}

// uncounted are the attempts of one handler that failed while a dependency did
// not answer.
func (w *worker) uncounted(t testing.TB, handler string) int {
	t.Helper()
	return w.counter(t, "answerfeed_uncounted_attempts_total", handler, "handler")[handler]
}

// dependency is what /readyz says of one.
type dependency struct {
	Available bool      `json:"available"`
	Since     time.Time `json:"since"`
}

// ready asks /readyz, which answers 200.
func (w *worker) ready(t testing.TB) map[string]dependency {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: within}
	r, err := client.Get("http://" + w.Addr() + "/readyz")
	require.NoError(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, string(text))
	var report struct{ Dependencies map[string]dependency }
	require.NoError(t, json.Unmarshal(text, &report))
	return report.Dependencies
}

// letters are all dead letters on the desk of the place.
func (p place) letters(t testing.TB) []*deadletter.Letter {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	db, err := database.Open(ctx, database.Config{Driver: p.driver(), DSN: p.settings["database.dsn"]})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	store := deadletter.New(db, database.Relaxed)
	defer store.Close()
	ids, err := store.Newest(ctx, 100_000)
	require.NoError(t, err)
	letters := make([]*deadletter.Letter, 0, len(ids))
	for _, id := range ids {
		l, err := store.Get(ctx, id)
		require.NoError(t, err)
		letters = append(letters, l)
	}
	return letters
}

func (p place) driver() string {
	if p.postgres() {
		return database.Postgres
	}
	return database.SQLite
}

const countLetters = `SELECT count(*) FROM dead_letters`

// requireEmpty requires of a place whose worker has stopped that nothing is
// left in its queues.
func requireEmpty(t testing.TB, client *app.Client) {
	t.Helper()
	require.Zero(t, left(t, client), "left in the queues")
}

// left counts the messages in all queues.
func left(t testing.TB, client *app.Client) (n int64) {
	t.Helper()
	all, err := client.Backlog(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	for _, b := range all {
		n += b.Ready + b.InFlight + b.Delayed
	}
	return n
}
