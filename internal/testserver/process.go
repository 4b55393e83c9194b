// Package testserver starts throwaway servers, for tests and for `worker
// verify --own-servers`: a RabbitMQ or PostgreSQL of one's own, on free
// loopback ports and in a temporary folder, that one may kill and start again.
//
// The one thing to know: whatever it starts ends with the process that
// started it, even when that one is killed.
package testserver

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startWithin bounds the start of a server.
const startWithin = 90 * time.Second

// process is a server in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	hold io.Closer // its end ends the group
	done chan struct{}
}

// guard runs its arguments and kills its own process group when standard
// input ends: when the test process closes it, or dies. keeper then removes
// its argument, which others may still be writing to.
const (
	guard  = `"$@" & read _; kill -9 0`
	keeper = `read _; for i in 1 2 3 4 5; do sleep 1; rm -rf "$1" && sleep 1 && [ ! -e "$1" ] && exit; done`
)

func guarded(command ...string) []string {
	return append([]string{"/bin/sh", "-c", guard, "guard"}, command...)
}

// launch starts a command in a process group of its own, with its output in a
// file.
func launch(ctx context.Context, logFile string, env []string, command ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %v: %w", command, err)
	}
	p := &process{cmd: cmd, hold: hold, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // always by a signal
	}()
	return p, nil
}

// kill is kill -9 of the whole group.
func (p *process) kill() {
	_ = p.hold.Close()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// FreePort returns a loopback port that nobody listens on. It is below those
// that Linux gives to connections and to listeners that name none (from 32768
// on), of which any may be gone before a server has started.
func FreePort() (int, error) {
	const first, count, tries = 16_000, 16_000, 100
	var last error
	for range tries {
		port := first + rand.IntN(count)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("looking for a free port: %w", last)
}

// Missing names the Debian packages that are not installed: PostgreSQL's, and
// RabbitMQ's if that is wanted, too. Tests need not ask: what is missing is
// installed where that is possible. A program that its user did not ask for
// that should.
func Missing(rabbitMQ bool) (packages []string) {
	if findPostgres() == "" {
		packages = append(packages, "postgresql")
	}
	if script, epmd := findRabbit(); rabbitMQ && (script == "" || epmd == "") {
		packages = append(packages, "rabbitmq-server")
	}
	return packages
}

// find returns the first file that matches one of the patterns.
func find(patterns ...string) string {
	for _, p := range patterns {
		if files, _ := filepath.Glob(p); len(files) > 0 {
			return files[len(files)-1]
		}
	}
	return ""
}

// install installs a Debian package where that is possible: as root, with
// apt-get.
func install(ctx context.Context, pkg string) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%s is not installed, and cannot be installed here: install it by hand", pkg)
	}
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", pkg}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		// The package must not start a server of its own.
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, lines[len(lines)-1])
		}
	}
	return nil
}
