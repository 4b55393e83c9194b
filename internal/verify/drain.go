package verify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
)

const (
	// drainLook is how often is asked what is left.
	drainLook = 200 * time.Millisecond
	// stalledAfter is how long nothing may change until draining is given up:
	// longer than a lease and a redelivery.
	stalledAfter = time.Minute
	// emptyFor is how long queues are empty while events are missing, until
	// these are lost.
	emptyFor = 3 * time.Second
	// drainTries is how often the workers are stopped to see what they hold.
	drainTries = 3
	// requeueKills is how often a process that requeues is killed.
	requeueKills = 3
	// maxRequeueAfter is the latest moment of that.
	maxRequeueAfter = 300 * time.Millisecond
)

// left is what has not come to its end.
type left struct {
	missing int   // events without effect and letter, at either handler
	queued  int64 // messages that wait, in the outbox too
}

func (r *run) left(ctx context.Context) (l left, err error) {
	effects, letters, converged, err := ends(ctx, r.db)
	if err != nil {
		return l, fmt.Errorf("counting what took effect: %w", err)
	}
	l.missing = max(0, r.ledger.confirmed-effects-letters) + max(0, r.ledger.confirmed-converged)
	all, err := r.client.Backlog(ctx)
	if err != nil {
		return l, err
	}
	for _, b := range all {
		l.queued += b.Ready + b.InFlight + b.Delayed + b.Dead
	}
	l.queued -= int64(letters) // which the backlog counts as dead
	waiting, err := r.client.Outbox(ctx)
	if err != nil {
		return l, err
	}
	l.queued += waiting.Waiting
	return l, nil
}

// drain waits until each event has come to its end and the queues are empty.
// What a worker holds of RabbitMQ nobody else sees; so in the end the workers
// are stopped, and what they give back is seen.
func (r *run) drain(ctx context.Context, doing string, last bool) error {
	for try := 1; ; try++ {
		if err := r.settle(ctx, doing); err != nil {
			return err
		}
		r.fleet.stop(ctx)
		now, err := r.left(ctx)
		if err != nil {
			return err
		}
		if now.queued <= 0 || try == drainTries {
			r.report.Queued = max(0, now.queued)
			if now.queued > 0 {
				r.problem("%s: %d messages are still queued", doing, now.queued)
			}
			if last {
				return nil
			}
			return r.fleet.startAll(ctx)
		}
		if err := r.fleet.startAll(ctx); err != nil {
			return err
		}
	}
}

// settle waits until nothing is left, or nothing changes any more.
//
// RabbitMQ 3.10 keeps what a queue refused as its dead-letter target until it is
// restarted, and later versions for minutes, where no count shows it. So if
// something is missing, a broker of the run's own is restarted once.
func (r *run) settle(ctx context.Context, doing string) error {
	restart, stuck := r.Broker != nil, 0
	var before left
	changed, empty := time.Now(), time.Time{}
	for {
		now, err := r.left(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && time.Since(changed) > stalledAfter:
			return err
		case err != nil:
		case now.missing <= 0 && now.queued <= 0:
			r.report.Stuck += stuck
			return nil
		default:
			if now != before {
				before, changed = now, time.Now()
			}
			if now.queued > 0 {
				empty = time.Time{}
			} else if empty.IsZero() {
				empty = time.Now()
			}
			stalled := time.Since(changed) > stalledAfter
			if over := stalled || !empty.IsZero() && time.Since(empty) > emptyFor; over && !restart {
				r.report.Stuck += max(0, stuck-now.missing)
				return nil
			} else if over {
				restart, stuck = false, now.missing
				r.Broker.Kill()
				if err := r.Broker.Start(ctx); err != nil {
					return err
				}
				changed, empty = time.Now(), time.Time{}
			}
			r.Progress(doing, 2*len(r.ledger.kinds)-now.missing, 2*len(r.ledger.kinds))
		}
		if err := pause(ctx, drainLook); err != nil {
			return err
		}
	}
}

// requeue cures what is curable, and requeues its letters by processes that
// are killed, until one comes to its end.
func (r *run) requeue(ctx context.Context) error {
	r.Progress("requeuing", 0, 1)
	if err := cure(ctx, r.db); err != nil {
		return fmt.Errorf("curing what is curable: %w", err)
	}
	for i := range r.Times[CrashPoint] {
		over, by, err := r.requeueOnce(ctx, string(crashpoint.Requeued)+":1", 0)
		if err != nil {
			return err
		}
		if !over || by != syscall.SIGKILL {
			r.problem("crash point %s: pass %d did not come", crashpoint.Requeued, i+1)
			continue
		}
		r.report.Faults[string(CrashPoint)]++
		r.report.Points[string(crashpoint.Requeued)]++
	}
	for range min(r.Times[WorkerKill], requeueKills) {
		if _, _, err := r.requeueOnce(ctx, "", time.Duration(1+r.random.Int64N(int64(maxRequeueAfter)))); err != nil {
			return err
		}
	}
	over, by, err := r.requeueOnce(ctx, "", 0)
	if err == nil && (!over || by >= 0) {
		r.problem("requeuing did not come to its end")
	}
	return err
}

// requeueOnce runs a process that requeues, and kills it after a while, unless
// that is 0. over: it has ended by itself or at its crash point, by a signal
// or not.
func (r *run) requeueOnce(ctx context.Context, at string, after time.Duration) (over bool, by syscall.Signal, err error) {
	p, err := r.launch(Process{Requeue: true}, at)
	if err != nil {
		return false, -1, err
	}
	defer p.kill()
	p.expected.Store(true)
	patience := recoverWithin
	if after > 0 {
		select { // it is to die at its work, not before
		case <-p.ready:
		case <-p.done:
		case <-time.After(startWithin):
		case <-ctx.Done():
		}
		patience = after
	}
	select {
	case <-p.done:
	case <-time.After(patience):
	case <-ctx.Done():
		return false, -1, ctx.Err()
	}
	over, by = p.ended()
	if over && by < 0 && p.cmd.ProcessState.ExitCode() != 0 {
		r.problem("requeuing ended with status %d", p.cmd.ProcessState.ExitCode())
	}
	return over, by, nil
}

// deliveries is how often the handler was called.
func (r *run) deliveries() int64 {
	info, err := os.Stat(filepath.Join(r.dir, "delivered"))
	if err != nil {
		return 0
	}
	return info.Size()
}
