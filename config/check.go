package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	postgresDSN = regexp.MustCompile(`^\s*(postgres(ql)?://|\w+\s*=)`)
	neverSQLite = regexp.MustCompile(`^\s*(postgres(ql)?://|(host|hostaddr|port|user|password|dbname|service|sslmode)\s*=)`) // other names with "=" may be files
)

// checker finds what is wrong with values that are possible one by one. It passes over those with a problem already.
type checker struct {
	file     string
	origins  map[string]Origin
	known    map[string]bool // keys with a problem
	problems Problems
}

func crossCheck(c *Config, file string, origins map[string]Origin, found Problems) Problems {
	ch := checker{file: file, origins: origins, known: map[string]bool{}}
	for _, p := range found {
		ch.known[p.Key] = true
	}
	if c.Transport.Kind == KindSQL {
		ch.database("transport.sql", c.Transport.SQL)
	}
	ch.database("database", c.Database)
	if u, err := url.Parse(c.Alerts.URL); err == nil && c.Alerts.URL != "" {
		if len(c.Alerts.AllowHosts) > 0 && !slices.Contains(c.Alerts.AllowHosts, u.Hostname()) {
			ch.complain("its host is not among alerts.allow_hosts", "alerts.url", "alerts.allow_hosts")
		}
		if !c.Alerts.AllowPrivate && private(u.Hostname()) {
			ch.complain("it leads to this machine or into a private network: if that is meant, set alerts.allow_private: true", "alerts.url", "alerts.allow_private")
		}
	}
	for name, h := range c.Handlers {
		ch.handler("handlers."+name, h)
		if c.Transport.Kind == KindAMQP {
			ch.held("handlers."+name, h, c.Transport.AMQP.ConsumerTimeout)
		}
	}
	return ch.problems
}

// unused reports settings that somebody made and that nothing uses, since transport.kind was left as it is: most likely
// the key is missing. They are no problems.
func unused(c *Config, origins map[string]Origin) Problems {
	if c.Transport.Kind != KindSQL || origins["transport.kind"].Source != SourceDefault {
		return nil
	}
	for _, key := range []string{"transport.amqp.url", "transport.amqp.failover"} {
		if o := origins[key]; o.Source != SourceDefault {
			return Problems{o.problem(key, "it is not used, since transport.kind is sql: for RabbitMQ set transport.kind: amqp")}
		}
	}
	return nil
}

// complain reports a contradiction between keys, where the first of them that somebody set was set.
func (ch *checker) complain(message string, keys ...string) {
	for _, key := range keys {
		if ch.known[key] {
			return
		}
	}
	for _, key := range keys {
		if o := ch.origins[key]; o.Source != SourceDefault {
			ch.problems = append(ch.problems, o.problem(key, message))
			return
		}
	}
	// A declaration's defaults: the user's way out is to set one of them.
	ch.problems = append(ch.problems, Problem{File: ch.file, Key: keys[0], Message: message})
}

func (ch *checker) database(key string, d Database) {
	dsn, driver := key+".dsn", key+".driver"
	switch {
	case d.Driver == DriverPostgres && !postgresDSN.MatchString(d.DSN):
		ch.complain("driver postgres and dsn do not fit: dsn must be postgres://… or host=… pairs", dsn, driver)
	case d.Driver == DriverSQLite && neverSQLite.MatchString(d.DSN):
		ch.complain("driver sqlite and dsn do not fit: dsn names a PostgreSQL database", dsn, driver)
	case d.Driver == DriverPostgres:
		// The driver's own parser decides what run takes. Its errors quote the DSN.
		_, err := pgx.ParseConfig(d.DSN)
		if file := new(fs.PathError); errors.As(err, &file) {
			ch.complain("dsn names a file that cannot be read: "+file.Error(), dsn)
		} else if err != nil {
			ch.complain("cannot be read as postgres://user:password@host:5432/database or as host=… user=… dbname=… pairs: check port, sslmode and the other "+
				"parameters; in a URL, special characters of the password are written as %XX", dsn)
		}
	case d.Driver == DriverSQLite && (strings.Contains(d.DSN, ":memory:") || strings.Contains(d.DSN, "mode=memory")):
		ch.complain("an in-memory database would lose messages at every stop; name a file", dsn)
	case d.Driver == DriverSQLite:
		ch.sqliteFile(d.DSN, dsn)
	}
}

// sqliteFile reports a path at which no database file can be.
func (ch *checker) sqliteFile(path, key string) {
	path = filepath.Clean(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		ch.complain("names a directory; name a file", key)
		return
	}
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
		ch.complain("names a file in a directory that is not there; make the directory first", key)
	}
}

func (ch *checker) handler(key string, h Handler) {
	attempts, backoff := key+".retry.attempts", key+".retry.backoff"
	if pauses(h.Retry) > MaxPauses {
		ch.complain(fmt.Sprintf("the pauses between the attempts add up to more than %s, as each is twice the one before: "+
			"lower attempts or backoff, or use redeliver", shortDuration(MaxPauses)), attempts, backoff)
	}
	if len(h.Retry.Redeliver) > MaxRedeliver {
		ch.complain(fmt.Sprintf("must be at most %d delays", MaxRedeliver), key+".retry.redeliver")
	}
	if own, ok := h.Options.(interface{ Validate() error }); ok && !ch.anyBelow(key+".options") {
		ch.options(key+".options", own.Validate())
	}
}

// anyBelow tells whether a key below that one has a problem.
func (ch *checker) anyBelow(key string) bool {
	for known := range ch.known {
		if strings.HasPrefix(known, key+".") {
			return true
		}
	}
	return false
}

// options reports what a handler's own validation found; where it is found is known only as the handler's options.
func (ch *checker) options(key string, err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			ch.options(key, one)
		}
		return
	}
	if err != nil {
		ch.problems = append(ch.problems, ch.firstBelow(key).problem(key, err.Error()))
	}
}

// firstBelow is where the first key below that one was set; the file as a whole if none was.
func (ch *checker) firstBelow(key string) Origin {
	first := Origin{File: ch.file}
	for _, k := range slices.Sorted(maps.Keys(ch.origins)) {
		o := ch.origins[k]
		if !strings.HasPrefix(k, key+".") || o.Source == SourceDefault {
			continue
		}
		if first.Source == "" || first.Source != SourceFile || o.Source == SourceFile && o.Line < first.Line {
			first = o
		}
	}
	return first
}

// pauses is how long the quick attempts of one delivery wait between them, without jitter: backoff + 2 backoff + 4
// backoff …, which is backoff × (2^(attempts-1) - 1). More than a Duration holds is the longest Duration.
func pauses(r Retry) time.Duration {
	sum := float64(r.Backoff) * (math.Exp2(float64(r.Attempts-1)) - 1)
	if sum >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(sum)
}
