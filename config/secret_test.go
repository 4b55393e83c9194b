package config

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMasked(t *testing.T) {
	for dsn, want := range map[string]string{
		"answerfeed.db": "answerfeed.db",
		"file:answerfeed.db?_pragma=busy_timeout(5000)":    "file:answerfeed.db?_pragma=busy_timeout(5000)",
		"postgres://db/feed":                               "postgres://db/feed",
		"postgres://feed@db/feed":                          "postgres://feed@db/feed",
		"postgres://feed:pw@db:5432/feed?sslmode=require":  "postgres://feed:xxxxx@db:5432/feed?sslmode=require",
		"postgres://feed:@db/feed":                         "postgres://feed:xxxxx@db/feed",
		"postgres://feed:p@w/?#@db/feed":                   "postgres://feed:xxxxx@db/feed",
		"postgres://db/feed?user=u&password=pw&sslmode=on": "postgres://db/feed?user=u&password=xxxxx&sslmode=on",
		"postgres://db/feed?p%61ssword=pw&sslpassword=pw2": "postgres://db/feed?p%61ssword=xxxxx&sslpassword=xxxxx",
		"postgres://db/feed?password=p&w&user=u":           "postgres://db/feed?password=xxxxx&user=u",
		"amqp://guest:guest@mq:5672/%2f":                   "amqp://guest:xxxxx@mq:5672/%2f",
		"amqp://a:pw1@one,amqp://a:pw2@two":                "amqp://a:xxxxx@two",
		"host=db password=pw dbname=feed":                  "host=db password=xxxxx dbname=feed",
		"host=db password = 'p w' dbname=feed":             "host=db password = xxxxx dbname=feed",
		`password='it\'s x=y' user=u`:                      "password=xxxxx user=u",
		`password=a\ b=c user=u`:                           "password=xxxxx user=u",
		`password='it\' user=x' port=5`:                    "password=xxxxx port=5",
		`password=a\ user=b port=5`:                        "password=xxxxx port=5",
		"password='never closed user=u":                    "password=xxxxx",
		"password=with blanks in it user=u":                "password=xxxxx user=u",
		"PASSWORD=pw sslpassword=pw2":                      "PASSWORD=xxxxx sslpassword=xxxxx",
		"host=::1 password=a@b port=5":                     "host=::1 password=xxxxx port=5",
		"host=db password=":                                "host=db password=xxxxx",
		"feed:pw@tcp(db)/feed":                             "feed:xxxxx@tcp(db)/feed",
		"file:feed.db?_auth_password=pw":                   "file:feed.db?_auth_password=xxxxx",
	} {
		require.Equal(t, want, masked(dsn))
		require.Equal(t, masked(dsn), masked(masked(dsn)))
	}
}

func TestQuoted(t *testing.T) {
	const hidden = "what is given (not shown: it may hold a password)"
	for text, want := range map[string]string{
		"many": `"many"`, "": `""`, "12": "12", "-1s": `"-1s"`, "a\nb": `"a\nb"`,
		strings.Repeat("é", 70): `"` + strings.Repeat("é", 60) + `…"`,
		"postgres://u:pw@db":    hidden,
		"u:pw@db":               hidden,
		"password=pw":           hidden,
		"my-Secret":             hidden,
	} {
		require.Equal(t, want, quoted(text))
	}
}

// drawDSN draws a DSN with a password of the letters that requireHidden looks for, and a driver for it.
func drawDSN(t *rapid.T) (text, driver string) {
	// Nothing else that is written has the letters Z and Ж, so that finding one means a leak of a part at least.
	password := "Z" + rapid.StringOfN(rapid.RuneFrom([]rune(`ZZZЖ'"\ =&?#@:/%+.,;<>!*|{}[]$~`)), 4, 20, -1).Draw(t, "password") + "Z"
	user := rapid.SampledFrom([]string{"feed", "f.e-e_d"}).Draw(t, "user")
	tail := rapid.SampledFrom([]string{"", "?sslmode=require", "?application_name=a%40b"}).Draw(t, "tail")
	escaped := strings.ReplaceAll(strings.ReplaceAll(password, `\`, `\\`), "'", `\'`)
	query := url.QueryEscape(password)
	form := rapid.IntRange(0, 6).Draw(t, "form")
	text = []string{
		(&url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: "db:5432", Path: "/feed"}).String() + tail,
		"postgres://" + user + ":" + password + "@db/feed" + tail, // not escaped, so perhaps not valid
		"postgres://db/feed?user=" + user + "&password=" + query + "&sslmode=require",
		"host=db user=" + user + " password='" + escaped + "' dbname=feed",
		"user=" + user + " password = " + strings.ReplaceAll(escaped, " ", `\ `),
		"amqp://" + user + ":" + url.PathEscape(password) + "@mq:5672/feed",
		"password='" + password, // not escaped, never closed
	}[form]
	if form == 5 {
		return text, DriverSQLite
	}
	return text, DriverPostgres
}

func requireHidden(t require.TestingT, text string) {
	require.False(t, strings.ContainsAny(text, "ZЖ"), "a password, or a part of one: %s", text)
}

func TestMaskedHidesEveryPassword(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dsn, _ := drawDSN(t)
		requireHidden(t, masked(dsn))
	})
}

// Wherever a DSN stands, rightly or by mistake, its password is neither shown nor part of a problem.
func TestPasswordsStayHidden(t *testing.T) {
	places := []string{
		"database.dsn", "transport.sql.dsn", "transport.amqp.url", "database.driver", "transport.prefix", "web.listen",
		"log.level", "handlers.views.timeout", "handlers.views.retry.redeliver", "handlers.views.options.url",
		"handlers.views.options.link", "handlers.views.options.note",
	}
	type own struct {
		URL  string `yaml:"url" secret:"dsn"`
		Link string `yaml:"link"` // not marked, but a URL shows what it is
		Note string `yaml:"note" secret:"all"`
	}
	rapid.Check(t, func(t *rapid.T) {
		dsn, driver := drawDSN(t)
		place := rapid.SampledFrom(places).Draw(t, "place")
		o := Options{Environ: []string{"WORKER_LOG_FORMAT=json"}, Handlers: []HandlerDecl{{Name: "views", Options: &own{}}}}
		var file string
		switch rapid.SampledFrom([]string{"variable", "flag", "file", "key", "unquoted", "path"}).Draw(t, "source") {
		case "variable":
			o.Environ = append(o.Environ, variable(place)+"="+dsn)
		case "path":
			o.Environ = append(o.Environ, variable(place)+"_FILE="+dsn)
		case "flag":
			o.Overrides = map[string]any{place: dsn}
		case "file":
			names := strings.Split(place, ".")
			for i, name := range names {
				file += strings.Repeat("  ", i) + name + ":\n"
			}
			file = strings.TrimSuffix(file, "\n") + " '" + strings.ReplaceAll(dsn, "'", "''") + "'\n"
		case "key":
			file = "database: {'" + strings.ReplaceAll(dsn, "'", "''") + "': 1}"
		case "unquoted":
			file = "database:\n  dsn: " + dsn + "\n"
		}
		if place == "database.dsn" {
			o.Environ = append(o.Environ, "WORKER_DATABASE_DRIVER="+driver)
		}
		loaded, err := load(o, "worker.yaml", []byte(file), nil)
		if err != nil {
			requireHidden(t, err.Error())
			return
		}
		for _, format := range []string{FormatYAML, FormatJSON} {
			var shown bytes.Buffer
			require.NoError(t, loaded.Show(&shown, format))
			if place != "handlers.views.options.link" || urlStart.MatchString(dsn) {
				requireHidden(t, shown.String())
			}
		}
	})
}
