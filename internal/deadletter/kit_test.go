package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// server is a PostgreSQL that starts with the first test that asks for it.
var server lazy

type lazy struct {
	once sync.Once
	*testserver.Postgres
	err error
}

func (l *lazy) get(t testing.TB) *testserver.Postgres {
	t.Helper()
	l.once.Do(func() { l.Postgres, l.err = testserver.SharedPostgres(context.Background()) })
	require.NoError(t, l.err)
	return l.Postgres
}

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	code := m.Run()
	var err error
	if server.Postgres != nil {
		err = server.Stop()
	}
	if code == 0 {
		err = errors.Join(err, goleak.Find())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// onEach runs a test on each database.
func onEach(t *testing.T, test func(t *testing.T, driver string)) {
	for _, driver := range []string{database.SQLite, database.Postgres} {
		t.Run(driver, func(t *testing.T) { test(t, driver) })
	}
}

// place names a new empty database.
func place(t testing.TB, driver string) database.Config {
	t.Helper()
	cfg := database.Config{Driver: driver, DSN: filepath.Join(t.TempDir(), "letters.db")}
	if driver == database.Postgres {
		var err error
		cfg.DSN, err = server.get(t).Database(t.Context())
		require.NoError(t, err)
	}
	return cfg
}

func openAt(t testing.TB, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	return db
}

func newStore(t testing.TB, driver string) *deadletter.Store {
	t.Helper()
	return storeOn(t, openAt(t, place(t, driver)))
}

func storeOn(t testing.TB, db *database.DB) *deadletter.Store {
	t.Helper()
	s := deadletter.New(db, database.Relaxed)
	t.Cleanup(s.Close)
	return s
}

var someTime = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

func letter(change ...func(*deadletter.Letter)) *deadletter.Letter {
	l := &deadletter.Letter{
		Handler: "feed", Topic: "answer-added", Identity: "e1", Reason: "invalid", Error: "invalid event: title: missing",
		CorrelationID: "c1", Attempts: 3, Redeliveries: 1, FirstFailedAt: someTime, LastFailedAt: someTime.Add(time.Minute),
		UUID: "u1", Metadata: map[string]string{"correlation_id": "c1"}, Payload: []byte(`{"answer_id":"a1"}`),
	}
	for _, f := range change {
		f(l)
	}
	return l
}

func identity(id string) func(*deadletter.Letter) {
	return func(l *deadletter.Letter) { l.Identity = id }
}
