package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
)

// process is a running process of the run.
type process struct {
	cmd      *exec.Cmd
	hold     io.Closer // its standard input: it ends with it
	handled  string    // a file, a byte for each effect
	ready    chan struct{}
	done     chan struct{}
	expected atomic.Bool // its end is
}

// launch starts a process. at is a crash point with its passes, or "".
func (r *run) launch(spec Process, at string) (*process, error) {
	number := r.fleet.count.Add(1)
	file := func(what string) string { return filepath.Join(r.dir, what+strconv.FormatInt(number, 10)) }
	spec.Settings, spec.Delivered, spec.Handled = r.place.proxied, filepath.Join(r.dir, "delivered"), file("handled")
	cmd, err := r.Command()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, handled: spec.Handled, ready: make(chan struct{}), done: make(chan struct{})}
	log, err := os.OpenFile(file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	if at != "" {
		cmd.Env = append(cmd.Environ(), crashpoint.PointVariable+"="+at)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a process of the run: %w", err)
	}
	p.hold = in
	r.fleet.own(p)
	go p.attend(out)
	if err := json.NewEncoder(in).Encode(spec); err != nil && !errors.Is(err, syscall.EPIPE) { // else it has died, which is seen
		p.kill()
		return nil, fmt.Errorf("telling a process of the run what to do: %w", err)
	}
	return p, nil
}

// attend waits for the process's word that it works, and for its end.
func (p *process) attend(out io.Reader) {
	defer close(p.done)
	if lines := bufio.NewScanner(out); lines.Scan() {
		close(p.ready)
		_, _ = io.Copy(io.Discard, out)
	}
	_ = p.cmd.Wait() // the state tells
}

// kill is kill -9.
func (p *process) kill() {
	p.expected.Store(true)
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.hold.Close()
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// ended tells that the process has, and by which signal, -1 for none.
func (p *process) ended() (over bool, by syscall.Signal) {
	select {
	case <-p.done:
	default:
		return false, -1
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return true, status.Signal()
	}
	return true, -1
}

// effects is how many it has had.
func (p *process) effects() int64 {
	info, err := os.Stat(p.handled)
	if err != nil {
		return 0 // not begun
	}
	return info.Size()
}

// terminated sends SIGTERM and returns the exit status; -1 when the process
// had to be killed.
func (p *process) terminated(ctx context.Context) int {
	p.expected.Store(true)
	p.signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	select {
	case <-p.done:
		_ = p.hold.Close()
		return p.cmd.ProcessState.ExitCode()
	case <-ctx.Done():
		p.kill()
		return -1
	}
}
