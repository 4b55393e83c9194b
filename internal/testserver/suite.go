package testserver

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Suite says whose servers are started: those of the machine, or those of
// another Debian suite, which are installed in a tree beside them.
type Suite string

// The suites, with the versions that they had in November 2026.
const (
	// Installed is what the machine has: RabbitMQ 3.10 and PostgreSQL 15 on
	// Debian 12.
	Installed Suite = ""
	// Trixie has RabbitMQ 4.0 and PostgreSQL 17.
	Trixie Suite = "trixie"
	// Sid has RabbitMQ 4.3 and PostgreSQL 18.
	Sid Suite = "sid"
)

// Suites are all of them, the oldest first.
func Suites() []Suite { return []Suite{Installed, Trixie, Sid} }

// String is the suite's name, "installed" for the machine's own.
func (s Suite) String() string {
	if s == Installed {
		return "installed"
	}
	return string(s)
}

//go:embed suite.sh
var suiteScript string

// prepare installs the servers of the suite, if that was not done before, and
// returns the folder of the commands that run them. The trees are in the
// user's cache: about 650 MB and 2 minutes each.
func (s Suite) prepare(ctx context.Context) (folder string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "answerfeed", "brokers")
	tree, folder := filepath.Join(cache, string(s)), filepath.Join(cache, string(s)+"-bin")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// The tests of several packages run at once.
	lock, err := os.OpenFile(filepath.Join(cache, string(s)+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("waiting for the servers of Debian %s: %w", s, err)
	}
	for _, args := range [][]string{{"make", string(s), tree}, {"bin", tree, folder}} {
		cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", suiteScript, "suite.sh"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("installing the servers of Debian %s: %w: %s", s, err, out[max(0, len(out)-2000):])
		}
	}
	return folder, nil
}

// owner is the user that PostgreSQL runs as within the suite's tree.
func (s Suite) owner() (uid, gid int, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, 0, err
	}
	users, err := os.Open(filepath.Join(cache, "answerfeed", "brokers", string(s), "etc", "passwd"))
	if err != nil {
		return 0, 0, err
	}
	defer users.Close()
	for lines := bufio.NewScanner(users); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); len(fields) > 3 && fields[0] == "postgres" {
			uid, uidErr := strconv.Atoi(fields[2])
			gid, gidErr := strconv.Atoi(fields[3])
			return uid, gid, errors.Join(uidErr, gidErr)
		}
	}
	return 0, 0, fmt.Errorf("the servers of Debian %s have no user postgres", s)
}
