package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/testserver"
	"github.com/answerfeed/answerfeed/app/verify"
	"github.com/answerfeed/answerfeed/config"
)

// What a run with --own-servers can be on.
const (
	onSQLite   = "sqlite"
	onPostgres = "postgres"
	onRabbitMQ = "rabbitmq"
)

// ownTransports are all of them.
func ownTransports() []string { return []string{onSQLite, onPostgres, onRabbitMQ} }

func checkTransports(on []string) error {
	for i, name := range on {
		if !slices.Contains(ownTransports(), name) || slices.Contains(on[:i], name) {
			return fmt.Errorf("--on %s: it takes %s, each once", strings.Join(on, ","), strings.Join(ownTransports(), ", "))
		}
	}
	if len(on) == 0 {
		return errors.New("--on: it names no transport")
	}
	return nil
}

// silence is how long a worker of the SQL transport may say nothing before its
// messages are given to others: the lease of a claim.
const silence = 15 * time.Second

// target is what is configured, with these settings in place.
func (c *cli) target(name string, settings map[string]string) (verify.Target, error) {
	cfg, err := c.verifyConfig(settings)
	if err != nil {
		return verify.Target{}, err
	}
	t := verify.Target{
		Name:     name,
		Prefix:   cfg.Transport.Prefix,
		Queues:   database.Config(cfg.Transport.SQL),
		Tables:   database.Config(cfg.Database),
		Settings: settings,
		Silence:  silence,
	}
	if name == "" {
		t.Name = cfg.Transport.SQL.Driver
	}
	if cfg.Transport.Kind == config.KindAMQP {
		if name == "" {
			t.Name = onRabbitMQ
		}
		t.AMQP, t.ServerName = cfg.Transport.AMQP.URL, cfg.Transport.AMQP.ServerName
		t.Silence = 3 * cfg.Transport.AMQP.Heartbeat
	}
	return t, nil
}

// verifyOwnServers starts the servers, and runs on each transport in turn.
func (c *cli) verifyOwnServers(ctx context.Context, f verifyFlags) (err error) {
	dir, err := os.MkdirTemp("", "answerfeed-verify")
	if err != nil {
		return fmt.Errorf("making a folder for the run: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var broker *testserver.RabbitMQ
	var db *testserver.Postgres
	if needs := slices.DeleteFunc(slices.Clone(f.on), func(on string) bool { return on == onSQLite }); len(needs) > 0 {
		if missing := testserver.Missing(slices.Contains(f.on, onRabbitMQ)); len(missing) > 0 {
			return fmt.Errorf("--own-servers: %s is not installed; on Debian: apt-get install %s", strings.Join(missing, ", "), strings.Join(missing, " "))
		}
		if db, err = testserver.StartPostgres(ctx); err != nil {
			return fmt.Errorf("starting PostgreSQL: %w", err)
		}
		defer func() { err = errors.Join(err, db.Stop()) }()
	}
	if slices.Contains(f.on, onRabbitMQ) {
		if broker, err = testserver.StartRabbitMQ(ctx); err != nil {
			return fmt.Errorf("starting RabbitMQ: %w", err)
		}
		defer func() { err = errors.Join(err, broker.Stop()) }()
	}
	runs, err := c.ownRuns(f, dir, broker, db)
	if err != nil {
		return err
	}
	return c.verifyAll(ctx, f, runs)
}

// ownRuns shares messages and faults out among the transports. Faults that a
// transport cannot have, of a network or server that it does without, go to
// the others.
func (c *cli) ownRuns(f verifyFlags, dir string, broker *testserver.RabbitMQ, db *testserver.Postgres) (runs []verifyRun, err error) {
	remote := slices.DeleteFunc(slices.Clone(f.on), func(on string) bool { return on == onSQLite })
	for i, on := range f.on {
		settings := map[string]string{}
		for _, section := range []string{"database.", "transport.sql."} { // each connection is a process of the server's
			settings[section+"writers"], settings[section+"readers"] = "4", "2"
		}
		r := verifyRun{Options: f.Options}
		r.Messages, r.Kills = share(f.Messages, i, len(f.on)), share(f.Kills, i, len(f.on))
		r.Cuts, r.BrokerKills, r.DatabaseKills = 0, 0, 0
		r.Duration = f.Duration / time.Duration(len(f.on))
		if on == onSQLite {
			file := filepath.Join(dir, "answerfeed.db")
			settings["database.driver"], settings["database.dsn"] = config.DriverSQLite, file
			settings["transport.kind"], settings["transport.sql.driver"], settings["transport.sql.dsn"] = config.KindSQL, config.DriverSQLite, file
		} else {
			n := slices.Index(remote, on)
			r.Cuts, r.DatabaseKills = share(f.Cuts, n, len(remote)), share(f.DatabaseKills, n, len(remote))
			r.Database = db
			settings["database.driver"], settings["database.dsn"] = config.DriverPostgres, db.DSN
			settings["transport.kind"], settings["transport.sql.driver"], settings["transport.sql.dsn"] = config.KindSQL, config.DriverPostgres, db.DSN
		}
		if on == onRabbitMQ {
			r.BrokerKills, r.Broker = f.BrokerKills, broker
			settings["transport.kind"], settings["transport.amqp.url"], settings["transport.amqp.failover"] = config.KindAMQP, broker.URL, ""
			settings["transport.prefix"], settings["transport.amqp.heartbeat"] = "", "2s" // or a worker that is held up keeps its messages for long
		}
		if r.target, err = c.target(on, settings); err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// share is the i-th of n parts of all, as even as can be.
func share(all, i, n int) int { return all*(i+1)/n - all*i/n }
