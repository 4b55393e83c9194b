package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// jobVariable holds the job of a process that is a peer.
const jobVariable = "ANSWERFEED_BENCH_JOB"

// tick is how often a peer tells how far it is: the error of a rate's clock.
const tick = 2 * time.Millisecond

// job is what a peer's process has to do.
type job struct {
	Peer      string
	Transport string // the worker's: onAMQP or onSQL
	URL       string // of the broker
	// Driver and DSN are the database, and the SQL transport.
	Driver, DSN string
	Dir         string // to work in
	// Concurrency is the worker's window.
	Concurrency int
	// Wait makes the worker's handler wait so long instead of its effect.
	Wait    time.Duration
	Profile string // a file
}

// note is a line that a peer writes: how much was handled since it started,
// its effect being committed. The last tells what it took.
type note struct {
	Handled int64
	usage
}

// usage is what a process took.
type usage struct {
	PeakMB float64       // most resident memory that it ever had
	CPU    time.Duration // processor time since it began to consume
}

// consumer is a peer: start begins to consume and returns, stop ends.
type consumer struct {
	start, stop func() error
}

// child is a peer's process. It prepares, says so, consumes from the first
// line of in on, and stops at its end.
func child(ctx context.Context, text string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	var handled atomic.Int64
	c, err := open(ctx, j, &handled)
	if err != nil {
		return fmt.Errorf("%s: %w", j.Peer, err)
	}
	lines := json.NewEncoder(out)
	if err := lines.Encode(note{}); err != nil { // ready
		return err
	}
	orders := bufio.NewReader(in)
	if _, err := orders.ReadString('\n'); err != nil {
		return fmt.Errorf("%s was not told to start: %w", j.Peer, err)
	}
	before := processorUsed()
	endProfile, err := profile(j.Profile)
	if err != nil {
		return err
	}
	if err := c.start(); err != nil {
		return fmt.Errorf("%s: %w", j.Peer, err)
	}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, orders)
		close(over)
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for last, running := int64(0), true; running; {
		select {
		case <-over:
			running = false
		case <-ticker.C:
		}
		if n := handled.Load(); n != last {
			last = n
			if err := lines.Encode(note{Handled: n}); err != nil {
				return err
			}
		}
	}
	took := usage{CPU: processorUsed() - before}
	endProfile()
	err = c.stop()
	took.PeakMB = peak()
	return errors.Join(err, lines.Encode(note{handled.Load(), took}))
}

func profile(file string) (end func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
		if f, err := os.Create(strings.TrimSuffix(file, profileSuffix) + ".allocs" + profileSuffix); err == nil {
			_ = pprof.Lookup("allocs").WriteTo(f, 0)
			_ = f.Close()
		}
	}, pprof.StartCPUProfile(f)
}

const profileSuffix = ".prof"

// processorUsed is the process's processor time, in user and system mode.
func processorUsed() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// peak is the process's VmHWM in MB, 0 where there is no such thing.
func peak() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kb, _ := strconv.ParseFloat(fields[1], 64)
			return kb / 1024
		}
	}
	return 0
}

// process is a running child, as its parent sees it.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	handled atomic.Int64
	took    usage // once ended
	changed func()
	ended   chan struct{}
	err     error // once ended
	once    sync.Once
}

// launch starts a peer and returns when it is ready. changed is called
// whenever it has handled more.
func launch(ctx context.Context, j job, changed func()) (*process, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	cmd.Dir = j.Dir // no worker.yaml of the user's
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in, changed: changed, ended: make(chan struct{})}
	notes := json.NewDecoder(out)
	if err := notes.Decode(&note{}); err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not get ready: %w", j.Peer, err), in.Close(), cmd.Wait())
	}
	go p.follow(notes)
	return p, nil
}

func (p *process) follow(notes *json.Decoder) {
	defer close(p.ended)
	for {
		var n note
		if err := notes.Decode(&n); err != nil {
			break
		}
		p.handled.Store(n.Handled)
		p.took = n.usage
		p.changed()
	}
	p.err = p.cmd.Wait()
	p.changed()
}

// start lets it consume.
func (p *process) start() error {
	_, err := io.WriteString(p.in, "start\n")
	return err
}

// stop ends it and waits.
func (p *process) stop() error {
	p.once.Do(func() { _ = p.in.Close() })
	<-p.ended
	return p.err
}
