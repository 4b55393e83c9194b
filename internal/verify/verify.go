package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// workers is how many processes work at once, so that the messages of one that
// was killed find others.
const workers = 3

// cleanWithin bounds putting away what a run made.
const cleanWithin = time.Minute

// Client publishes and looks as another process than the workers.
type Client interface {
	Publisher() message.Publisher
	Backlog(ctx context.Context) ([]transport.Backlog, error)
	Outbox(ctx context.Context) (outbox.Backlog, error)
	Close() error
}

// Server is one that the run may kill. Start brings it back, and returns when
// it answers.
type Server interface {
	Kill()
	Start(ctx context.Context) error
}

// Broker is a RabbitMQ that the run may kill and govern.
type Broker interface {
	Server
	// Ctl runs rabbitmqctl.
	Ctl(ctx context.Context, args ...string) (string, error)
}

// Pair is a primary and its standby; as a [Server] it is the primary.
type Pair interface {
	Server
	// FailOver kills the primary and makes one of the standby, and returns when
	// that can be written.
	FailOver(ctx context.Context) error
	// Renew makes a new standby.
	Renew(ctx context.Context) error
}

// Disk is a small one with the data of the run on it.
type Disk interface {
	// Fill takes all the room that is left; Free gives it back. Free also
	// brings back a server that ended for want of room.
	Fill() error
	Free(ctx context.Context) error
}

// Process is what one process of the run is told, as JSON on its standard
// input. It writes a line to standard output when it works, and ends when its
// input does.
type Process struct {
	// Settings are of the configuration, by key.
	Settings map[string]string `json:"settings"`
	// Delivered and Handled are the files of its handler.
	Delivered string `json:"delivered"`
	Handled   string `json:"handled"`
	// Requeue requeues the letters that are to take effect, and nothing else.
	Requeue bool `json:"requeue"`
}

// Options say what a run does.
type Options struct {
	Target Target
	// Messages is how many events are published, at least.
	Messages int
	// Times is how often each fault comes; of crash points it is how often each
	// of them does.
	Times map[Fault]int
	// Broker, Database and Disk are the run's own. Faults that need one of
	// them say so: see [Fault.Needs].
	Broker   Broker
	Database Server
	Disk     Disk
	// MessageLimit is the size, in bytes, above which Broker takes no message.
	MessageLimit int
	// Duration is how long publishing and faults go on at least. 0 = as long
	// as they take.
	Duration time.Duration
	// Seed chooses events and faults.
	Seed uint64

	// Open opens transport and database with these settings; they are migrated.
	Open func(ctx context.Context, settings map[string]string) (Client, error)
	// Remove removes what Open made in a broker.
	Remove func(ctx context.Context, settings map[string]string) error
	// Command is a process of the run, not yet started.
	Command func() (*exec.Cmd, error)
	// Progress is told now and then how far the run is. May be nil.
	Progress func(doing string, done, of int)
}

func (o *Options) validate() error {
	switch {
	case o.Messages < 1:
		return errors.New("a run needs at least one message")
	case o.Times[CrashPoint] > 0 && !crashpoint.Enabled:
		return errors.New("this build has no crash points")
	}
	for _, f := range Faults() {
		if o.Times[f] > 0 && !o.has(f.Needs()) {
			return fmt.Errorf("the fault %q needs %s of the run's own", f, f.Needs())
		}
	}
	return nil
}

func (o *Options) has(need Need) bool {
	switch need {
	case NeedsBroker:
		return o.Broker != nil
	case NeedsDatabase:
		return o.Database != nil
	case NeedsDisk:
		return o.Disk != nil
	case NeedsStandby:
		_, ok := o.Database.(Pair)
		return ok
	}
	return true
}

// run is the state of one run. Its methods are for one goroutine, except where
// they say so.
type run struct {
	Options
	place  *place
	dir    string
	client Client
	db     *database.DB
	ledger *ledger
	random *rand.Rand
	fleet  *fleet
	report *Report
	extra  int // events beyond the plan, to keep processes at work
}

// Run does all of it and puts away what it made. An error means that it could
// not be done; what was found is in the report.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	r := &run{
		Options: o,
		ledger:  &ledger{random: rand.New(rand.NewPCG(o.Seed, 1))},
		random:  rand.New(rand.NewPCG(o.Seed, 2)),
		report:  newReport(o),
	}
	if r.dir, err = os.MkdirTemp("", "answerfeed-verify"); err != nil {
		return nil, fmt.Errorf("making a folder for the run: %w", err)
	}
	defer func() {
		if err != nil || r.report.Passed() {
			err = errors.Join(err, os.RemoveAll(r.dir))
		} else {
			r.report.Logs = r.dir
		}
	}()
	if r.place, err = setUp(ctx, o.Target, o.Times[Cut] > 0); err != nil {
		return nil, err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
		defer cancel()
		if undo := r.place.putAway(clean); undo != nil {
			err = errors.Join(err, fmt.Errorf("putting away what the run made: %w", undo))
		}
	}()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return r.report, r.all(ctx)
}

// open makes queues and tables, and opens what the run itself uses.
func (r *run) open(ctx context.Context) (err error) {
	if r.client, err = r.Open(ctx, r.place.direct); err != nil {
		return err
	}
	r.place.undo(func(ctx context.Context) error { return r.Remove(ctx, r.place.direct) })
	if r.db, err = database.Open(ctx, r.place.tables); err == nil {
		err = makeTables(ctx, r.db)
	}
	if err != nil {
		return errors.Join(err, r.close())
	}
	return nil
}

func (r *run) close() error {
	err := r.client.Close()
	if r.db != nil {
		err = errors.Join(err, r.db.Close())
	}
	return err
}

// all is the run itself.
func (r *run) all(ctx context.Context) (err error) {
	began := time.Now()
	defer func() { r.report.Seconds = time.Since(began).Seconds() }()
	if r.fleet, err = newFleet(ctx, r, workers); err != nil {
		return err
	}
	defer r.fleet.close()
	if err := r.faults(ctx); err != nil {
		return err
	}
	if err := r.drain(ctx, "draining", false); err != nil {
		return err
	}
	if err := r.requeue(ctx); err != nil {
		return err
	}
	if err := r.drain(ctx, "draining what was requeued", true); err != nil {
		return err
	}
	r.report.EndedAlone = r.fleet.endedAlone()
	return r.compare(ctx)
}

// problem notes what fails the run, beside loss.
func (r *run) problem(format string, args ...any) {
	r.report.Problems = append(r.report.Problems, fmt.Sprintf(format, args...))
}
