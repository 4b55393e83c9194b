package verify

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// startWithin and stopWithin bound the start and the end of a process:
	// the worker's own grace is 20 s.
	startWithin, stopWithin = time.Minute, 35 * time.Second
	// restartPause is before a process is replaced that ended by itself.
	restartPause = 200 * time.Millisecond
)

// fleet is the worker's processes, each replaced when it ends, as a supervisor
// does.
type fleet struct {
	r     *run
	count atomic.Int64 // processes that were started

	ctx    context.Context //nolint:containedctx // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	ownMu sync.Mutex
	all   []*process // that were ever started

	mu    sync.Mutex
	slots []*process
	past  int64 // effects of processes that others have replaced
	alone int   // processes that ended by themselves
	wrong int   // those that did in a way that no worker does
	notes []string
	err   error
}

// newFleet starts n processes and waits until they work.
func newFleet(ctx context.Context, r *run, n int) (*fleet, error) {
	f := &fleet{r: r, slots: make([]*process, n)}
	f.ctx, f.cancel = context.WithCancel(ctx)
	r.fleet = f
	if err := f.startAll(ctx); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fleet) startAll(ctx context.Context) error {
	var all []*process
	for slot := range f.slots {
		p, err := f.start(slot)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	for _, p := range all {
		select {
		case <-p.ready:
		case <-p.done:
			f.r.problem("a worker ended while it started; its log is in the folder of the run")
		case <-time.After(startWithin):
			f.r.problem("a worker did not start within %s", startWithin)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// start puts a new process into a slot.
func (f *fleet) start(slot int) (*process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	p, err := f.r.launch(Process{}, "")
	if err != nil {
		return nil, err
	}
	if before := f.slots[slot]; before != nil {
		f.past += before.effects()
	}
	f.slots[slot] = p
	f.wg.Go(func() { f.watch(slot, p) })
	return p, nil
}

// watch replaces a process that ends by itself: for want of a server, which is
// to be expected while that is away.
func (f *fleet) watch(slot int, p *process) {
	<-p.done
	if p.expected.Load() || f.ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	f.alone++
	if p.cmd.ProcessState.ExitCode() != 1 {
		f.wrong++
	}
	f.mu.Unlock()
	if pause(f.ctx, restartPause) != nil {
		return
	}
	if _, err := f.start(slot); err != nil && f.ctx.Err() == nil {
		f.mu.Lock()
		f.err = err
		f.mu.Unlock()
	}
}

// note keeps a problem that another goroutine than the run's has found.
func (f *fleet) note(problem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, problem)
}

// at is the process in a slot.
func (f *fleet) at(slot int) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.slots[slot]
}

// effects counts those of all processes.
func (f *fleet) effects() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.past
	for _, p := range f.slots {
		n += p.effects()
	}
	return n
}

// endedAlone counts the processes that ended by themselves.
func (f *fleet) endedAlone() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.alone
}

// stop tells all processes to end, and notes those that do not do so well.
func (f *fleet) stop(ctx context.Context) {
	f.mu.Lock()
	slots := f.slots
	f.mu.Unlock()
	bad := make([]bool, len(slots))
	var wg sync.WaitGroup
	for i, p := range slots {
		wg.Go(func() {
			bad[i] = p.terminated(ctx) != 0
		})
	}
	wg.Wait()
	for _, b := range bad {
		if b && ctx.Err() == nil {
			f.r.problem("a worker did not end well on SIGTERM")
		}
	}
}

// own takes care that a process ends with the run.
func (f *fleet) own(p *process) {
	f.ownMu.Lock()
	defer f.ownMu.Unlock()
	f.all = append(f.all, p)
}

// close kills what is left.
func (f *fleet) close() {
	f.cancel()
	f.mu.Lock() // until a start that is under way is over
	defer f.wg.Wait()
	defer f.mu.Unlock()
	f.ownMu.Lock()
	defer f.ownMu.Unlock()
	for _, p := range f.all {
		p.kill()
	}
	f.r.report.Problems = append(f.r.report.Problems, f.notes...)
	if f.wrong > 0 {
		f.r.problem("%d workers ended by themselves and not with status 1", f.wrong)
	}
	if f.err != nil {
		f.r.problem("a worker could not be replaced: %v", f.err)
	}
}
