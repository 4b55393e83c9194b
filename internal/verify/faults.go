package verify

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
)

const (
	// recoverWithin bounds every wait for a sign of life after a fault.
	recoverWithin = 90 * time.Second
	// lookEvery is how often is looked for it.
	lookEvery = 5 * time.Millisecond
	// trickleEvery is how often a few events are published while nothing else
	// is.
	trickleEvery = 100 * time.Millisecond
	// beyondSilence is how much longer than its lease a worker is stopped.
	beyondSilence = time.Second
)

// faults publishes all events, and does all faults meanwhile.
func (r *run) faults(ctx context.Context) error {
	steps := plan(r.Options, r.random)
	began := time.Now()
	var stopped sync.WaitGroup
	defer stopped.Wait()
	for i, s := range steps {
		r.Progress("breaking", i, len(steps))
		left := max(0, r.Messages-len(r.ledger.kinds))
		share := left / (len(steps) - i)
		if err := r.step(ctx, s, r.ledger.next(share, false), &stopped); err != nil {
			return err
		}
		if err := pause(ctx, time.Until(began.Add(r.Duration*time.Duration(i+1)/time.Duration(len(steps))))); err != nil {
			return err
		}
	}
	return r.publish(ctx, r.ledger.next(max(0, r.Messages-len(r.ledger.kinds)), false), oneInOutbox)
}

// step publishes a share, and does one fault in the middle.
func (r *run) step(ctx context.Context, s step, share []item, stopped *sync.WaitGroup) error {
	published := make(chan error, 1)
	go func() { published <- r.publishOver(ctx, share, s.fault.lasts()) }()
	err := pause(ctx, s.after)
	var alive func() bool
	if err == nil {
		alive, err = r.do(ctx, s, stopped)
	}
	began := time.Now()
	if err != nil || alive == nil {
		if publishErr := <-published; err == nil {
			err = publishErr
		}
		return err
	}
	err = r.watch(ctx, s, alive, began, published)
	if pair, ok := r.Database.(Pair); ok && s.fault == Failover && err == nil {
		err = pair.Renew(ctx) // so that it can come again
	}
	return err
}

// do does the fault. alive tells when its consequence is over; nil = there is
// nothing to wait for.
func (r *run) do(ctx context.Context, s step, stopped *sync.WaitGroup) (alive func() bool, err error) {
	r.report.Faults[string(s.fault)]++
	switch s.fault {
	case WorkerKill:
		r.fleet.at(s.worker).kill()
		p, err := r.fleet.start(s.worker)
		if err != nil {
			return nil, err
		}
		return func() bool { return p.effects() > 0 }, nil
	case WorkerStop:
		return nil, r.stop(ctx, s.worker, stopped)
	case Cut:
		for _, proxy := range r.place.proxies {
			r.report.Cut += proxy.Cut()
		}
	case BrokerKill:
		r.Broker.Kill()
		err = r.Broker.Start(ctx)
	case DatabaseKill:
		r.Database.Kill()
		err = r.Database.Start(ctx)
	case CrashPoint:
		return r.crash(s)
	default:
		err = r.trouble(ctx, s)
	}
	before := r.fleet.effects()
	return func() bool { return r.fleet.effects() > before }, err
}

// watch waits until the fault is over, publishing a few events so that it can
// be seen, and measures how long that takes.
func (r *run) watch(ctx context.Context, s step, alive func() bool, began time.Time, published <-chan error) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var took time.Duration
	trickled := began
	for took == 0 || published != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-published:
			if err != nil {
				return err
			}
			published = nil
		case <-look.C:
		}
		if took == 0 && alive() {
			took = time.Since(began)
			r.report.recovered(s.fault, took)
		}
		if took > 0 || published != nil {
			continue
		}
		if time.Since(began) > recoverWithin {
			r.problem("%s: no sign of life within %s", s.name(), recoverWithin)
			return nil
		}
		if time.Since(trickled) > trickleEvery {
			if err := r.trickle(ctx); err != nil {
				return err
			}
			trickled = time.Now()
		}
	}
	return nil
}

func (s step) name() string {
	if s.fault == CrashPoint {
		return string(s.fault) + " " + string(s.point)
	}
	return string(s.fault)
}

// stop holds a worker up with SIGSTOP until others have its messages, and lets
// it go on then, in its belief that they are its own. Another works meanwhile.
func (r *run) stop(ctx context.Context, slot int, stopped *sync.WaitGroup) error {
	still := r.fleet.at(slot)
	still.expected.Store(true)
	still.signal(syscall.SIGSTOP)
	if _, err := r.fleet.start(slot); err != nil {
		still.kill()
		return err
	}
	stopped.Go(func() {
		defer still.kill()
		if pause(ctx, r.Target.Silence+beyondSilence) != nil {
			return
		}
		still.signal(syscall.SIGCONT)
		_ = pause(ctx, beyondSilence)
		// With 1, if a server was away.
		if code := still.terminated(ctx); code != 0 && code != 1 && ctx.Err() == nil {
			r.fleet.note("a worker that was stopped and went on did not end well on SIGTERM")
		}
	})
	return nil
}

// crash starts one worker more, which dies at the point. alive tells that it
// has.
func (r *run) crash(s step) (alive func() bool, err error) {
	at := fmt.Sprintf("%s:%d", s.point, s.passes)
	p, err := r.launch(Process{}, at)
	if err != nil {
		return nil, err
	}
	told := false
	return func() bool {
		if s.point == crashpoint.Draining && !told && p.effects() > 0 {
			told = true
			p.signal(syscall.SIGTERM)
		}
		over, by := p.ended()
		if !over {
			return false
		}
		if by == syscall.SIGKILL {
			r.report.Points[string(s.point)]++
			return true
		}
		// It had no work, or no server: another tries.
		again, err := r.launch(Process{}, at)
		if err != nil {
			return false
		}
		p, told = again, false
		return false
	}, nil
}
