package outbox_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// call is the statement of a producer in any language.
func call(driver string) string {
	if driver == database.Postgres {
		return `SELECT answerfeed_publish($1::text, $2::jsonb, $3::jsonb)`
	}
	return `INSERT INTO answerfeed_publish (topic, data, metadata) VALUES ($1, $2, $3)`
}

func TestSQL_ChecksWhatItIsGiven(t *testing.T) {
	long := strings.Repeat("a", 1<<20)
	tests := map[string]struct {
		topic, data, metadata any
		want                  string // "" = it is stored
	}{
		"data alone":              {"answer-added", `{"a":"ü"}`, nil, ""},
		"no metadata":             {"answer-added", `{}`, `{}`, ""},
		"metadata":                {"answer-added", `{}`, `{"correlation_id":"c","traceparent":"t"}`, ""},
		"the longest topic":       {strings.Repeat("z", 60), `{}`, nil, ""},
		"the longest key":         {"a", `{}`, `{"` + strings.Repeat("k", 128) + `":"v"}`, ""},
		"no topic":                {nil, `{}`, nil, "topic must be 1 to 60 of a-z, 0-9 and -"},
		"an empty topic":          {"", `{}`, nil, "topic must be"},
		"capitals":                {"Answer-added", `{}`, nil, "topic must be"},
		"a line break behind":     {"answer-added\n", `{}`, nil, "topic must be"},
		"a topic too long":        {strings.Repeat("z", 61), `{}`, nil, "topic must be"},
		"no data":                 {"a", nil, nil, "data must be"},
		"a list":                  {"a", `[{}]`, nil, "data must be a JSON object"},
		"a string":                {"a", `"{}"`, nil, "data must be a JSON object"},
		"null":                    {"a", `null`, nil, "data must be a JSON object"},
		"too much data":           {"a", `{"a":"` + long + `"}`, nil, "data is larger than 1048576 bytes"},
		"metadata that is a list": {"a", `{}`, `["x"]`, "metadata must be a JSON object of strings"},
		"metadata with a number":  {"a", `{}`, `{"a":"b","n":1}`, "metadata must be a JSON object of strings"},
		"metadata without a key":  {"a", `{}`, `{"":"v"}`, "a metadata key must have 1 to 128 bytes"},
		"a long key":              {"a", `{}`, `{"` + strings.Repeat("ü", 65) + `":"v"}`, "a metadata key must have 1 to 128 bytes"},
		"too much metadata":       {"a", `{}`, `{"a":"` + long[:1<<15] + `"}`, "metadata is larger than 32768 bytes"},
	}
	onBoth(t, func(t *testing.T, db *database.DB, cfg database.Config) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				before := len(outboxOf(t, db))
				err := db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, call(cfg.Driver), test.topic, test.data, test.metadata)
					return err
				})
				if test.want != "" {
					require.ErrorContains(t, err, "answerfeed_publish: "+test.want)
					require.Len(t, outboxOf(t, db), before)
					return
				}
				require.NoError(t, err)
				all := outboxOf(t, db)
				require.Len(t, all, before+1)
				last := all[before]
				require.Equal(t, test.topic, last.topic)
				require.JSONEq(t, test.data.(string), last.payload)
				if test.metadata == nil {
					test.metadata = "{}"
				}
				require.JSONEq(t, test.metadata.(string), last.metadata)
				require.NotEmpty(t, last.uuid)
			})
		}
		// By hand, past the checks: the table has some of its own.
		for _, values := range []string{`'no topic', '{}'`, `'a', NULL`} {
			err := db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO outbox (topic, payload) VALUES (`+values+`)`)
				return err
			})
			require.Error(t, err)
		}
	})
}

// length and GLOB look no further than the NUL, and a relay could never send what is behind it.
func TestSQL_SQLiteRefusesATopicWithNUL(t *testing.T) {
	db := migrated(t, database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "outbox.db")})
	exec := func(query string, args ...any) error {
		return db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		})
	}
	for _, topic := range []any{"answer-added\x00", "answer-added\x00x y", "answer-added\x00more", []byte("a\x00b")} {
		for _, query := range []string{`INSERT INTO outbox (topic, payload) VALUES ($1, '{}')`, `INSERT INTO answerfeed_publish (topic, data) VALUES ($1, '{}')`} {
			require.ErrorContains(t, exec(query, topic), "topic must be")
		}
	}
	require.NoError(t, exec(`INSERT INTO outbox (topic, payload) VALUES ('a', '{}')`))
	require.ErrorContains(t, exec(`UPDATE outbox SET topic = 'a' || char(0)`), "topic must be")
	require.Len(t, outboxOf(t, db), 1)
}

// The function returns the message's UUID, means its own table whatever the
// search_path, and runs with the rights of whoever calls it.
func TestSQL_PostgresFunction(t *testing.T) {
	db := migrated(t, database.Config{Driver: database.Postgres, DSN: dsn(t)})
	err := db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
		for _, q := range []string{
			`CREATE SCHEMA evil`, `CREATE TABLE evil.outbox (LIKE public.outbox INCLUDING ALL)`,
			`CREATE FUNCTION evil.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS 'SELECT ''object'''`,
			`SET LOCAL search_path = evil, pg_catalog, public`,
		} {
			_, err := tx.ExecContext(ctx, q)
			require.NoError(t, err, q)
		}
		var uuid string
		require.NoError(t, tx.QueryRowContext(ctx, `SELECT answerfeed_publish('answer-added', '{"b":1.50,"a":"ü"}')`).Scan(&uuid))
		var stored, payload string
		require.NoError(t, tx.QueryRowContext(ctx, `SELECT uuid, convert_from(payload, 'UTF8') FROM public.outbox`).Scan(&stored, &payload))
		require.Equal(t, uuid, stored)
		require.Equal(t, `{"a": "ü", "b": 1.50}`, payload, "as jsonb writes it")
		var definer bool
		require.NoError(t, tx.QueryRowContext(ctx, `SELECT prosecdef FROM pg_proc WHERE proname = 'answerfeed_publish'`).Scan(&definer))
		require.False(t, definer)
		return nil
	})
	require.NoError(t, err)
}

func TestSQL_FromPsql(t *testing.T) {
	at := dsn(t)
	db := migrated(t, database.Config{Driver: database.Postgres, DSN: at})
	cmd := exec.CommandContext(t.Context(), program(t, "psql"), "--no-psqlrc", "-q", "-At", "-v", "ON_ERROR_STOP=1", at)
	cmd.Stdin = strings.NewReader(`
		BEGIN;
		INSERT INTO site_answers VALUES ('a1');
		SELECT answerfeed_publish('answer-added', jsonb_build_object('answer_id', 'a1', 'question_id', 'q1', 'occurred_at', now()));
		COMMIT;
		BEGIN;
		INSERT INTO site_answers VALUES ('a2');
		SELECT answerfeed_publish('answer-added', '{"answer_id":"a2"}', '{"correlation_id":"c"}');
		ROLLBACK;`)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	all := outboxOf(t, db)
	require.Len(t, all, 1)
	require.Contains(t, string(out), all[0].uuid)
	require.Contains(t, all[0].payload, `"a1"`)
}

// script publishes twice, of which once in a transaction that is taken back:
// as one does in Python, with psycopg or psycopg2 where one is there, else
// through psql.
const script = `
import json, subprocess, sys
dsn, psql = sys.argv[1:]
event = json.dumps({"answer_id": "a1", "question_id": "q1", "occurred_at": "2026-01-02T03:04:05Z", "excerpt": "ünï \"quoted\" 'too'"})
meta = json.dumps({"correlation_id": "c-1"})
try:
    try:
        import psycopg
    except ImportError:
        import psycopg2 as psycopg
    with psycopg.connect(dsn) as db:
        for keep in (False, True):
            cur = db.cursor()
            cur.execute("INSERT INTO site_answers VALUES (%s)", ("a1",))
            cur.execute("SELECT answerfeed_publish(%s, %s, %s)", ("answer-added", event, meta))
            uuid = cur.fetchone()[0]
            db.commit() if keep else db.rollback()
    how = "driver"
except ImportError:
    sql = "INSERT INTO site_answers VALUES ('a1'); SELECT answerfeed_publish('answer-added', :'event', :'meta');"
    for end in ("ROLLBACK", "COMMIT"):
        uuid = subprocess.run([psql, "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-v", "event=" + event, "-v", "meta=" + meta, dsn],
            input="BEGIN; " + sql + end + ";", check=True, capture_output=True, text=True).stdout.strip()
    how = "psql"
print(json.dumps({"uuid": uuid, "how": how}))
`

func TestSQL_FromPython(t *testing.T) {
	at := dsn(t)
	db := migrated(t, database.Config{Driver: database.Postgres, DSN: at})
	cmd := exec.CommandContext(t.Context(), program(t, "python3"), "-c", script, at, program(t, "psql"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var said struct{ UUID, How string }
	require.NoError(t, json.Unmarshal(out, &said))
	t.Log("through its", said.How)
	all := outboxOf(t, db)
	require.Len(t, all, 1)
	require.Equal(t, said.UUID, all[0].uuid)
	require.JSONEq(t, `{"correlation_id":"c-1"}`, all[0].metadata)
	require.Contains(t, all[0].payload, `ünï \"quoted\" 'too'`)
}

// SQLite is a library: Python brings another version than this binary has.
func TestSQL_FromPythonOnSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.db")
	db := migrated(t, database.Config{Driver: database.SQLite, DSN: path})
	cmd := exec.CommandContext(t.Context(), program(t, "python3"), "-c", `
import sqlite3, sys
for end in ("rollback", "commit"):
    db = sqlite3.connect(sys.argv[1])
    db.execute("INSERT INTO site_answers VALUES ('a1')")
    db.execute("INSERT INTO answerfeed_publish (topic, data) VALUES (?, ?)", ("answer-added", '{"answer_id":"a1"}'))
    getattr(db, end)()
    db.close()
`, path)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	all := outboxOf(t, db)
	require.Len(t, all, 1)
	require.Equal(t, `{"answer_id":"a1"}`, all[0].payload)
	require.NotEmpty(t, all[0].uuid)
}

// program finds a program; that of the system first, whose Python has the
// system's drivers.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, pattern := range []string{"/usr/bin/" + name, "/usr/lib/postgresql/*/bin/" + name} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	path, err := exec.LookPath(name)
	require.NoError(t, err)
	return path
}
