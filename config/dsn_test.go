package config_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
)

// What the check passes, opening the database must not refuse for its form.
func TestADSNThatCannotBeOpenedIsAProblem(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("folder", 0o700))
	require.NoError(t, os.WriteFile("file", nil, 0o600))
	for dsn, want := range map[string]string{
		"postgres://u:s3cret@db/feed?sslmode=sometimes":        "cannot be read as postgres://",
		"postgres://u:s3cret@db:port/feed":                     "is not a valid URL",
		"postgres://u:s3cret@db:70000/feed":                    "cannot be read as postgres://",
		"postgres://u:s3cret@db/feed?connect_timeout=soon":     "cannot be read as postgres://",
		"postgres://u:s3cret@a,b/feed?target_session_attrs=no": "cannot be read as postgres://",
		"host=db port=x password=s3cret":                       "cannot be read as postgres://",
		"host=db password='s3cret":                             "cannot be read as postgres://",
		"host=db sslmode=verify-full sslrootcert=/none.pem":    "dsn names a file that cannot be read",
		"folder":                                 "names a directory; name a file",
		"folder/":                                "names a directory; name a file",
		".":                                      "names a directory; name a file",
		"none/feed.db":                           "names a file in a directory that is not there",
		"file/feed.db":                           "names a file in a directory that is not there",
		":memory:":                               "an in-memory database would lose messages",
		"file:feed.db?mode=memory":               "an in-memory database would lose messages",
		"postgres://u:s3cret@a:5432,b:5433/feed": "",
		"postgres://u:s3cret@db/feed?sslmode=disable":      "",
		"host=a,b port=5432,5433 target_session_attrs=any": "",
		"postgres:///feed?host=/run/postgresql":            "",
		"folder/feed.db":                                   "",
		"file":                                             "",
	} {
		driver := config.DriverSQLite
		if len(dsn) > 5 && (dsn[:5] == "postg" || dsn[:5] == "host=") {
			driver = config.DriverPostgres
		}
		for _, section := range []string{"database", "transport.sql"} {
			t.Run(section+" "+dsn, func(t *testing.T) {
				_, err := config.Load(config.Options{Overrides: map[string]any{section + ".driver": driver, section + ".dsn": dsn}})
				if want == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, want)
				require.NotContains(t, err.Error(), "s3cret")
			})
		}
	}
}
