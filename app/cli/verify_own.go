package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/verify"
)

const (
	// messageLimit is the largest message, in bytes, that the run's own broker
	// takes.
	messageLimit = 1 << 20
	// diskSize is the size, in bytes, of the disks that are filled: twice what
	// 100,000 events take.
	diskSize = 256 << 20
)

// ownServers are those that a run starts in place of the configured ones.
type ownServers struct {
	dir          string // of SQLite's file
	broker       *testserver.RabbitMQ
	database     verify.Server
	databaseDSN  string
	databaseDisk verify.Disk      // of the database's tables
	fileDisk     *testserver.Disk // of SQLite's file, in place of dir

	stops []func() error
}

// start starts what the run's transports and faults need. What was started
// before an error is left to stop.
func (o *ownServers) start(ctx context.Context, f verifyFlags) (err error) {
	if o.dir, err = os.MkdirTemp("", "answerfeed-verify"); err != nil {
		return fmt.Errorf("making a folder for the run: %w", err)
	}
	o.stops = append(o.stops, func() error { return os.RemoveAll(o.dir) })
	server, broker := slices.Contains(f.on, onPostgres) || slices.Contains(f.on, onRabbitMQ), slices.Contains(f.on, onRabbitMQ)
	if missing := testserver.Missing(broker); server && f.suite == testserver.Installed && len(missing) > 0 {
		return fmt.Errorf("--own-servers: %s is not installed; on Debian: apt-get install %s", strings.Join(missing, ", "), strings.Join(missing, " "))
	}
	full := f.Times[verify.DiskFull] > 0
	if full && slices.Contains(f.on, onSQLite) {
		if o.fileDisk, err = o.mount(ctx); err != nil {
			return err
		}
	}
	if server {
		start := o.startDatabase
		if f.Times[verify.Failover] > 0 {
			start = o.startPair
		}
		if err := start(ctx, f.suite, full); err != nil {
			return fmt.Errorf("starting PostgreSQL: %w", err)
		}
	}
	if broker {
		lines := []string{"max_message_size = " + strconv.Itoa(messageLimit)}
		if o.broker, err = testserver.StartRabbitMQWith(ctx, testserver.RabbitMQOptions{Suite: f.suite, Lines: lines}); err != nil {
			return fmt.Errorf("starting RabbitMQ: %w", err)
		}
		o.stops = append(o.stops, o.broker.Stop)
	}
	return nil
}

// startDatabase starts one server, with its tables on a disk that can be full.
func (o *ownServers) startDatabase(ctx context.Context, suite testserver.Suite, full bool) (err error) {
	var disk *testserver.Disk
	if full {
		if disk, err = o.mount(ctx); err != nil {
			return err
		}
		o.databaseDisk = disk
	}
	p, err := testserver.StartPostgresOf(ctx, suite)
	if err != nil {
		return err
	}
	o.stops = append(o.stops, p.Stop)
	o.database, o.databaseDSN = p, p.DSN
	if !full {
		return nil
	}
	return p.OnDisk(ctx, disk)
}

// startPair starts a server with a standby, each with a disk of its own.
func (o *ownServers) startPair(ctx context.Context, suite testserver.Suite, full bool) (err error) {
	opts := testserver.PairOptions{Suite: suite, Asynchronous: crashpoint.Broken(crashpoint.AsynchronousStandby)}
	if full {
		for i := range opts.Disks {
			if opts.Disks[i], err = o.mount(ctx); err != nil {
				return err
			}
		}
	}
	pair, err := testserver.StartPostgresPair(ctx, opts)
	if err != nil {
		return err
	}
	o.stops = append(o.stops, pair.Stop)
	o.database, o.databaseDSN = pair, pair.DSN
	if full {
		o.databaseDisk = primaryDisk{pair, opts.Disks}
	}
	return nil
}

// primaryDisk is that of the primary's tables.
type primaryDisk struct {
	pair  *testserver.PostgresPair
	disks [2]*testserver.Disk
}

func (d primaryDisk) Fill() error { return d.disks[d.pair.Primary()].Fill() }

func (d primaryDisk) Free(ctx context.Context) error { return d.disks[d.pair.Primary()].Free(ctx) }

func (o *ownServers) mount(ctx context.Context) (*testserver.Disk, error) {
	d, err := testserver.MountDisk(ctx, diskSize)
	if err != nil {
		return nil, fmt.Errorf("mounting a disk that is to be full; --disk-fulls 0 does without: %w", err)
	}
	o.stops = append(o.stops, d.Unmount)
	return d, nil
}

// stop ends everything, the last started first.
func (o *ownServers) stop() error {
	var errs []error
	for _, stop := range slices.Backward(o.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
