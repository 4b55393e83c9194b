// Package relay moves events from the outbox to the transport. Any number of
// relays may work on one outbox, on any number of machines.
//
// A row's life: a relay claims it for a while (the lease), with a token of its
// own; publishes it, with no transaction open; and deletes it once the
// transport has confirmed it. What could not be published is put off, and
// stays until it can be. A relay that dies leaves its claims behind, and when
// they end another takes the rows.
//
// The one thing to know: an event is sent at least once, each time with the
// UUID that its row was given when it was stored, and in no certain order.
package relay

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/answerfeed/answerfeed/app/database"
)

// Transport is where the events go, a transport.Transport.
type Transport interface {
	// Publisher publishes with confirmation, until the context of the first
	// message ends.
	Publisher() message.Publisher
	Ping(ctx context.Context) error
}

// Options are what a Relay is made of.
type Options struct {
	// DB holds the outbox. It stays the caller's to close, after Run.
	DB *database.DB
	// Transport stays the caller's to close, after Run.
	Transport Transport
	// Registry takes the metrics. nil = none.
	Registry prometheus.Registerer
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Lease is how long a claim lasts, and so how long the rows of a relay
	// that died wait for another. A claim is never extended: instead
	// publishing is given up after two thirds of the lease, so that a living
	// relay is done with a row before another may have it. Defaults to 15 s.
	Lease time.Duration
}

// Bounds of what is in flight.
const (
	// window is how many rows a relay has claimed at most, and windowBytes
	// how much payload; one claim may exceed it by one payload.
	window      = 2048
	windowBytes = 32 << 20
	// claimRows and claimBytes bound one claim, and so one call of Publish.
	// Several are in flight at once, so that their confirmations overlap.
	claimRows  = 512
	claimBytes = 8 << 20
)

const (
	// pollBusy and pollIdle are how often the outbox is looked at, for want of
	// a notification that would cost producers nothing: busy is within
	// busyFor of the last event.
	pollBusy, pollIdle = 5 * time.Millisecond, 20 * time.Millisecond
	busyFor            = time.Second
	// pingEvery is how often a transport that is away is asked, for at most
	// pingWithin.
	pingEvery, pingWithin = 500 * time.Millisecond, 500 * time.Millisecond
	// failPause is the pause after a failed transaction, doubling up to
	// maxFailPause. roundWithin bounds one, the wait for a lock included.
	failPause, maxFailPause = 20 * time.Millisecond, time.Second
	roundWithin             = 5 * time.Second
	// finishWithin bounds the wait for the database while stopping. What is
	// not deleted by then is sent again by another relay.
	finishWithin = 5 * time.Second
)

// Relay moves events from one outbox to one transport.
type Relay struct {
	opts       Options
	metrics    *metrics
	statements statements // prepared by the first round that can
	token      int64      // of this relay's claims

	outcomes chan outcome // never full: it holds a whole window
	pinged   chan error

	// Of Run's goroutine alone.
	rows    int   // in flight
	bytes   int64 // of payload in flight
	settled []outcome
	topics  topics
	told    map[int64]bool // ids of rows that were logged as refused
	scan    scan
	lookAt  time.Time // when to look for rows again
	busy    time.Time // when there last were some
	// The transport: since when it is away, zero when it is not.
	away    time.Time
	pinging bool
	pingAt  time.Time
	// Of rounds that fail: the pause, 0 when they do not, and its end.
	failure time.Duration
	pausing time.Time
}

// New returns a relay on a database that was migrated. The caller calls Run.
func New(opts Options) (*Relay, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Lease <= 0 {
		opts.Lease = 15 * time.Second
	}
	m, err := newMetrics(opts)
	if err != nil {
		return nil, fmt.Errorf("relay: registering metrics: %w", err)
	}
	return &Relay{
		opts: opts, metrics: m, token: rand.Int64() | 1, // never 0, which is «not claimed»
		outcomes: make(chan outcome, window), pinged: make(chan error, 1),
		told:   map[int64]bool{},
		topics: topics{logger: opts.Logger, ailing: map[string]*ailment{}},
	}, nil
}

// Run moves events until ctx ends; then it claims nothing more, waits for what
// is in flight, at most two thirds of the lease, and returns. It runs once. A
// database that fails is tried again, from the first statement on.
func (r *Relay) Run(ctx context.Context) {
	defer func() { r.statements.close() }()
	changes, unsubscribe := r.opts.DB.Changes()
	defer unsubscribe()
	defer func() {
		if r.pinging {
			<-r.pinged //nolint:errcheck // it does not matter any more
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	intake, giveUp := true, time.Time{}
	for {
		if !intake && r.rows == 0 {
			if giveUp.IsZero() {
				giveUp = time.Now().Add(finishWithin)
			}
			if len(r.settled) == 0 || time.Now().After(giveUp) {
				return
			}
		}
		timer.Reset(time.Until(r.next(intake)))
		stop := ctx.Done()
		if !intake {
			stop = nil
		}
		select {
		case <-stop:
			intake = false
		case o := <-r.outcomes:
			r.take(o)
		case err := <-r.pinged:
			r.answered(err)
		case <-changes:
			r.lookAt = time.Time{}
		case <-timer.C:
		}
		for more := true; more; { // what has ended meanwhile shares a commit
			select {
			case o := <-r.outcomes:
				r.take(o)
			default:
				more = false
			}
		}
		r.ping()
		if time.Now().Before(r.pausing) {
			continue
		}
		r.report(r.round(ctx, intake))
	}
}

// next is when there will be something to do if nothing happens before.
func (r *Relay) next(intake bool) time.Time {
	switch {
	case r.failure > 0:
		return r.pausing
	case len(r.settled) > 0:
		return time.Time{}
	case !r.away.IsZero() && !r.pinging:
		return r.pingAt
	case r.away.IsZero() && intake && r.room():
		return r.lookAt
	}
	return time.Now().Add(time.Second)
}

// room says that more may be claimed.
func (r *Relay) room() bool { return r.rows < window && r.bytes < windowBytes }

// report pauses after a failed round, and logs that rounds fail, or work
// again: once a change.
func (r *Relay) report(err error) {
	if err == nil {
		if r.failure > 0 {
			r.opts.Logger.Info("the outbox can be used again")
		}
		r.failure, r.pausing = 0, time.Time{}
		return
	}
	if r.failure == 0 {
		r.opts.Logger.Error("the outbox cannot be used; trying again", "error", err)
	}
	r.failure = min(max(2*r.failure, failPause), maxFailPause)
	r.pausing = time.Now().Add(r.failure)
}
