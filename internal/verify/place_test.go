package verify

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

func TestReroute_LeadsToTheProxyAsTheSameUser(t *testing.T) {
	for name, dsn := range map[string]string{
		"URL":                    "postgres://ann:s%2Fcret@db.example:5433/site?sslmode=disable&application_name=x",
		"URL with host in query": "postgres:///site?host=db.example&port=5433&user=ann&password=s%2Fcret&sslmode=disable",
		"pairs":                  `host=db.example port=5433 user=ann password='s/cret' dbname=site sslmode=disable`,
	} {
		t.Run(name, func(t *testing.T) {
			proxy, err := NewProxy("tcp", "127.0.0.1:1")
			require.NoError(t, err)
			defer func() { require.NoError(t, proxy.Close()) }()
			before, err := pgx.ParseConfig(extend(dsn, map[string]string{"search_path": "verify_x"}))
			require.NoError(t, err)
			require.Equal(t, "db.example", before.Host)
			after, err := pgx.ParseConfig(reroute(before.ConnString(), before, []*Proxy{proxy}))
			require.NoError(t, err)
			require.Equal(t, "127.0.0.1:"+strconv.Itoa(proxy.Port()), after.Host+":"+strconv.Itoa(int(after.Port)))
			require.Equal(t, []string{"ann", "s/cret", "site"}, []string{after.User, after.Password, after.Database})
			require.Equal(t, "verify_x", after.RuntimeParams["search_path"])
			require.Equal(t, before.RuntimeParams, after.RuntimeParams)
		})
	}
}

func TestReroute_LeadsEachHostToItsProxy(t *testing.T) {
	for name, dsn := range map[string]string{
		"URL":   "postgres://ann:secret@one.example:5433,two.example:5434/site?sslmode=disable&target_session_attrs=read-write",
		"pairs": "host=one.example,two.example port=5433,5434 user=ann password=secret dbname=site sslmode=disable target_session_attrs=read-write",
	} {
		t.Run(name, func(t *testing.T) {
			p := &place{}
			defer func() { require.NoError(t, p.putAway(t.Context())) }()
			before, err := pgx.ParseConfig(dsn)
			require.NoError(t, err)
			hosts, err := p.proxyHosts(before, map[string]*Proxy{})
			require.NoError(t, err)
			require.Len(t, hosts, 2)
			after, err := pgx.ParseConfig(reroute(dsn, before, hosts))
			require.NoError(t, err)
			require.Len(t, after.Fallbacks, 1)
			require.Equal(t, []string{"127.0.0.1", "127.0.0.1"}, []string{after.Host, after.Fallbacks[0].Host})
			require.Equal(t, []int{hosts[0].Port(), hosts[1].Port()}, []int{int(after.Port), int(after.Fallbacks[0].Port)})
			require.NotNil(t, after.ValidateConnect, "only one that can be written is meant")
		})
	}
}

func TestPlace_IsPutAway(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		dir := t.TempDir()
		cfg := database.Config{Driver: database.SQLite, DSN: filepath.Join(dir, "site.db")}
		p, err := setUp(t.Context(), Target{Queues: cfg, Tables: cfg}, true)
		require.NoError(t, err)
		require.Equal(t, p.direct["database.dsn"], p.direct["transport.sql.dsn"], "one file, as configured")
		require.NotEqual(t, cfg.DSN, p.tables.DSN)
		db, err := database.Open(t.Context(), p.tables)
		require.NoError(t, err)
		require.NoError(t, db.Migrate(t.Context()))
		require.NoError(t, db.Close())
		require.NoError(t, p.putAway(t.Context()))
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		cfg := database.Config{Driver: database.Postgres, DSN: postgres(t)}
		p, err := setUp(t.Context(), Target{Queues: cfg, Tables: cfg}, true)
		require.NoError(t, err)
		require.Equal(t, p.proxied["database.dsn"], p.proxied["transport.sql.dsn"], "one pool, as configured")
		require.NotEqual(t, p.direct["database.dsn"], p.proxied["database.dsn"])
		through := p.tables
		through.DSN = p.proxied["database.dsn"]
		db, err := database.Open(t.Context(), through)
		require.NoError(t, err)
		require.NoError(t, db.Migrate(t.Context()))
		require.NoError(t, db.Close())

		count := func() (tables int) {
			conn, err := pgx.Connect(t.Context(), cfg.DSN)
			require.NoError(t, err)
			defer conn.Close(t.Context())
			require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
				WHERE n.nspname = 'public' OR n.nspname LIKE 'verify%'`).Scan(&tables))
			return tables
		}
		require.Positive(t, count())
		require.NoError(t, p.putAway(t.Context()))
		require.Zero(t, count(), "nothing is left, and nothing was ever in the user's own schema")
	})
	t.Run("nothing of a place that cannot be made", func(t *testing.T) {
		nowhere := database.Config{Driver: database.Postgres, DSN: "postgres://nobody:secret@127.0.0.1:1/none?sslmode=disable"}
		_, err := setUp(t.Context(), Target{Queues: nowhere, Tables: nowhere}, true)
		require.ErrorContains(t, err, "creating a schema for the run")
		require.NotContains(t, err.Error(), "secret")
	})
}
