package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/internal/verify"
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
	own := &ownServers{}
	defer func() { err = errors.Join(err, own.stop()) }()
	if err := own.start(ctx, f); err != nil {
		return err
	}
	runs, err := c.ownRuns(f, own)
	if err != nil {
		return err
	}
	return c.verifyAll(ctx, f, runs)
}

// ownRuns shares messages and faults out among the transports. Faults that a
// transport cannot have, of a network or server that it does without, go to
// the others.
func (c *cli) ownRuns(f verifyFlags, own *ownServers) (runs []verifyRun, err error) {
	remote := slices.DeleteFunc(slices.Clone(f.on), func(on string) bool { return on == onSQLite })
	for i, on := range f.on {
		settings := map[string]string{}
		for _, section := range []string{"database.", "transport.sql."} { // each connection is a process of the server's
			settings[section+"writers"], settings[section+"readers"] = "4", "2"
		}
		r := verifyRun{Options: f.Options}
		r.Messages, r.Duration = share(f.Messages, i, len(f.on)), f.Duration/time.Duration(len(f.on))
		r.Times = sharedTimes(f.Times, i, len(f.on), slices.Index(remote, on), len(remote), on == onRabbitMQ)
		if on == onSQLite {
			file := filepath.Join(own.dir, "answerfeed.db")
			if own.fileDisk != nil {
				file, r.Disk = filepath.Join(own.fileDisk.Dir, "answerfeed.db"), own.fileDisk
			}
			settings["database.driver"], settings["database.dsn"] = config.DriverSQLite, file
			settings["transport.kind"], settings["transport.sql.driver"], settings["transport.sql.dsn"] = config.KindSQL, config.DriverSQLite, file
		} else {
			r.Database = own.database
			if own.databaseDisk != nil {
				r.Disk = own.databaseDisk
			}
			settings["database.driver"], settings["database.dsn"] = config.DriverPostgres, own.databaseDSN
			settings["transport.kind"], settings["transport.sql.driver"], settings["transport.sql.dsn"] = config.KindSQL, config.DriverPostgres, own.databaseDSN
		}
		if on == onRabbitMQ {
			r.Broker, r.MessageLimit = own.broker, messageLimit
			settings["transport.kind"], settings["transport.amqp.url"], settings["transport.amqp.failover"] = config.KindAMQP, own.broker.URL, ""
			settings["transport.prefix"], settings["transport.amqp.heartbeat"] = "", "2s" // or a worker that is held up keeps its messages for long
		}
		if r.target, err = c.target(on, settings); err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// sharedTimes is the part of the faults that the i-th of n transports has, the
// remote-th of remotes, -1 if it has no server.
func sharedTimes(all map[verify.Fault]int, i, n, remote, remotes int, broker bool) map[verify.Fault]int {
	times := map[verify.Fault]int{}
	for fault, count := range all {
		switch {
		case fault == verify.WorkerStop, fault == verify.CrashPoint:
			times[fault] = count // with each
		case fault.Needs() == verify.NeedsBroker:
			if broker {
				times[fault] = count
			}
		case fault == verify.Cut, fault == verify.DatabaseKill, fault == verify.Failover:
			if remote >= 0 {
				times[fault] = share(count, remote, remotes)
			}
		default:
			times[fault] = share(count, i, n)
		}
	}
	return times
}

// share is the i-th of n parts of all, as even as can be.
func share(all, i, n int) int { return all*(i+1)/n - all*i/n }
