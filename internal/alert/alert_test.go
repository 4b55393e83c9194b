package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service takes alerts, and answers with the statuses in turn, then with 200.
type service struct {
	*httptest.Server
	bodies   chan []byte
	statuses chan int
}

func newService(t *testing.T, statuses ...int) *service {
	t.Helper()
	s := &service{bodies: make(chan []byte, 100), statuses: make(chan int, 100)}
	for _, status := range statuses {
		s.statuses <- status
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.bodies <- body
		select {
		case status := <-s.statuses:
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
		default:
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func newStore(t *testing.T) *deadletter.Store {
	t.Helper()
	_, s := openStore(t, database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "x.db")})
	return s
}

func openStore(t *testing.T, cfg database.Config) (*database.DB, *deadletter.Store) {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	s := deadletter.New(db, database.Relaxed)
	t.Cleanup(s.Close)
	return db, s
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func fail(t *testing.T, s *deadletter.Store, n int, text string) {
	t.Helper()
	for i := range n {
		require.NoError(t, s.Save(t.Context(), &deadletter.Letter{
			Handler: "feed", Topic: "answer-added", Identity: fmt.Sprint(text, i), Reason: "invalid", Error: text, FirstFailedAt: now, LastFailedAt: now,
		}))
	}
}

func newWatcher(t *testing.T, cfg Config, store *deadletter.Store, name string) *Watcher {
	t.Helper()
	w, err := New(cfg, store, name, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	w.sender.pause = time.Millisecond
	return w
}

func configFor(s *service) Config {
	cfg := DefaultConfig()
	cfg.URL, cfg.AllowPrivate, cfg.Spike = s.URL, true, 5
	return cfg
}

func TestLook_TellsOfProblemsAndNotOfMessages(t *testing.T) {
	s, store := newService(t), newStore(t)
	w := newWatcher(t, configFor(s), store, "a")
	require.NoError(t, w.look(t.Context(), now))
	require.Empty(t, s.bodies, "no news is told to nobody")

	fail(t, store, 3, "one\nstack")
	fail(t, store, 1, "two")
	require.NoError(t, w.look(t.Context(), now))
	var got struct {
		Text        string
		New, Spikes []map[string]any
	}
	require.NoError(t, json.Unmarshal(<-s.bodies, &got))
	require.Len(t, got.New, 2)
	require.Empty(t, got.Spikes)
	require.Equal(t, "one", got.New[0]["error"])
	require.Equal(t, 3.0, got.New[0]["letters"])
	require.Contains(t, got.Text, "New dead letters\n• feed, answer-added, invalid: one (3 letters; worker deadletters list --fingerprint ")

	fail(t, store, 4, "one\nstack") // three of them are there already
	require.NoError(t, w.look(t.Context(), now))
	require.Empty(t, s.bodies, "once for each problem")

	fail(t, store, 9, "one\nstack")
	for range 2 {
		require.NoError(t, w.look(t.Context(), now.Add(time.Minute)))
	}
	require.NoError(t, json.Unmarshal(<-s.bodies, &got))
	require.Empty(t, got.New)
	require.Len(t, got.Spikes, 1)
	require.Empty(t, s.bodies, "a spike is told once")
	require.EqualValues(t, 2, testutil.ToFloat64(w.sent.WithLabelValues("sent")))
}

func TestLook_ManyProblemsAreOneRequest(t *testing.T) {
	s, store := newService(t), newStore(t)
	cfg := configFor(s)
	cfg.Form = Slack
	for i := range 60 {
		fail(t, store, 1, "problem "+strings.Repeat("x", i)+"<&>")
	}
	w := newWatcher(t, cfg, store, "a")
	for range 2 {
		require.NoError(t, w.look(t.Context(), now))
	}
	var got map[string]string
	require.NoError(t, json.Unmarshal(<-s.bodies, &got))
	require.Len(t, got, 1)
	require.Contains(t, got["text"], "&lt;&amp;&gt;")
	require.Contains(t, got["text"], "… and 40 more")
	require.Empty(t, s.bodies)
}

func TestLook_OneOfSeveralWorkersTells(t *testing.T) {
	s, store := newService(t), newStore(t)
	a, b := newWatcher(t, configFor(s), store, "a"), newWatcher(t, configFor(s), store, "b")
	require.NoError(t, a.look(t.Context(), now))
	fail(t, store, 1, "one")
	require.NoError(t, b.look(t.Context(), now))
	require.Empty(t, s.bodies)
	require.NoError(t, b.look(t.Context(), now.Add(time.Hour)), "a has died")
	require.Len(t, s.bodies, 1)
}

func TestLook_TriesAgain(t *testing.T) {
	s, store := newService(t, 503, 429, 503, 404), newStore(t)
	w := newWatcher(t, configFor(s), store, "a")
	fail(t, store, 1, "one")
	require.Error(t, w.look(t.Context(), now))
	require.Len(t, s.bodies, 3)
	require.Error(t, w.look(t.Context(), now), "what is refused is not repeated at once")
	require.Len(t, s.bodies, 4)
	require.NoError(t, w.look(t.Context(), now), "nothing is forgotten")
	require.Len(t, s.bodies, 5)
	require.EqualValues(t, 2, testutil.ToFloat64(w.sent.WithLabelValues("failed")))
}

// A problem was told, mended, and comes back: nobody has heard of these letters.
func TestLook_TellsOfAProblemThatComesBack(t *testing.T) {
	for name, driver := range drivers(t) {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			db, store := openStore(t, driver)
			desk := deadletter.NewDesk(deadletter.DeskOptions{DB: db, Who: "me", Logger: slog.New(slog.DiscardHandler)})
			w := newWatcher(t, configFor(s), store, "a")
			failed := func(at time.Time, identities ...string) (ids []string) {
				for _, id := range identities {
					l := deadletter.Letter{Handler: "feed", Topic: "answer-added", Identity: id, Reason: "invalid", Error: "boom", FirstFailedAt: at, LastFailedAt: at}
					require.NoError(t, store.Save(t.Context(), &l))
					ids = append(ids, l.ID)
				}
				return ids
			}
			told := func(at time.Time) int {
				require.NoError(t, w.look(t.Context(), at))
				n := len(s.bodies)
				for range n {
					<-s.bodies
				}
				return n
			}
			old := failed(now.Add(time.Millisecond), "1", "2") // by a clock that is ahead
			require.Equal(t, 1, told(now))
			require.Zero(t, told(now.Add(time.Minute)), "once")

			dealtWith := func(ids ...string) {
				_, err := desk.Discard(t.Context(), deadletter.Selection{IDs: ids}, deadletter.Options{})
				require.NoError(t, err)
			}
			dealtWith(old[0])
			again := failed(now.Add(time.Hour), "3")
			require.Zero(t, told(now.Add(2*time.Hour)), "the problem that was told is still there")
			dealtWith(old[1])
			require.Equal(t, 1, told(now.Add(3*time.Hour)), "nobody has heard of this letter")
			require.Zero(t, told(now.Add(4*time.Hour)))
			dealtWith(again...)
			require.Zero(t, told(now.Add(5*time.Hour)), "there is nothing")
		})
	}
}

// drivers are the databases by name.
func drivers(t *testing.T) map[string]database.Config {
	t.Helper()
	server, err := testserver.SharedPostgres(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	return map[string]database.Config{
		"SQLite":     {Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "x.db")},
		"PostgreSQL": {Driver: database.Postgres, DSN: dsn, Writers: 2, Readers: 2},
	}
}

func TestSend_GoesNowhereElse(t *testing.T) {
	s := newService(t, 302)
	cfg := configFor(s)
	cfg.URL += "/secret"
	err := newSender(cfg).send(t.Context(), []byte("{}"))
	require.ErrorContains(t, err, "redirects are not followed")
	require.NotContains(t, err.Error(), "secret")
	require.Len(t, s.bodies, 1)

	cfg.AllowPrivate = false
	for _, url := range []string{cfg.URL, strings.Replace(cfg.URL, "127.0.0.1", "localhost", 1), "http://169.254.169.254/secret", "http://[::1]:1/secret", "http://10.0.0.1/secret"} {
		cfg.URL = url
		err = newSender(cfg).send(t.Context(), []byte("{}"))
		require.ErrorIs(t, err, errPrivate)
		require.NotContains(t, err.Error(), "secret")
	}
	require.Len(t, s.bodies, 1)
}

func TestPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "::1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "fe80::1": false,
		"fd00::1": false, "0.0.0.0": false, "::": false, "100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "::ffff:10.0.0.1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::": false, "198.18.0.1": false,
	} {
		require.Equal(t, want, public(netip.MustParseAddr(address)), address)
	}
}

func TestValidate(t *testing.T) {
	good := DefaultConfig()
	require.NoError(t, good.Validate())
	good.URL = "https://hooks.example.org/x"
	require.NoError(t, good.Validate())
	for says, change := range map[string]func(*Config){
		"url: it must be":               func(c *Config) { c.URL = "ftp://example.org" },
		"url: it must be http":          func(c *Config) { c.URL = "::" },
		"not among allow_hosts":         func(c *Config) { c.AllowHosts = []string{"example.org"} },
		`form: "xml"`:                   func(c *Config) { c.Form = "xml" },
		"every: 1ms":                    func(c *Config) { c.Every = time.Millisecond },
		"spike: it must not be below 0": func(c *Config) { c.Spike = -1 },
		"spike_within: it must be more": func(c *Config) { c.SpikeWithin = 0 },
	} {
		c := good
		change(&c)
		require.ErrorContains(t, c.Validate(), says)
		_, err := New(c, nil, "", nil, prometheus.NewRegistry())
		require.Error(t, err)
	}
	good.AllowHosts = []string{"hooks.example.org"}
	require.NoError(t, good.Validate())
}

func TestRun(t *testing.T) {
	s, store := newService(t, 500, 500, 500), newStore(t)
	var log bytes.Buffer
	cfg := configFor(s)
	cfg.Every = time.Second
	w := newWatcher(t, cfg, store, "a")
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	fail(t, store, 1, "one")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	require.Eventually(t, func() bool { return len(s.bodies) == 4 }, time.Minute, 5*time.Millisecond)
	cancel()
	<-done
	require.Contains(t, log.String(), "could not be sent; it is tried again")

	cfg.URL = ""
	newWatcher(t, cfg, store, "a").Run(t.Context()) // returns
}
