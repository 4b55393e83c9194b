package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// postgresGuard is guard for a server whose processes each leave the group for
// a session of their own. Stopped, the server can start no more of them; and
// the shell waits for its end, so that no zombie keeps its process id, which
// the next start would take for a server that runs.
const postgresGuard = `"$@" & server=$!
read _
kill -STOP $server
kill -9 $server $(cat /proc/$server/task/$server/children)
wait
kill -9 0`

// clusters is a folder whose files tell Debian's packages how to set up a
// server of their own.
const clusters = "/etc/postgresql-common/createcluster.d"

func (p *Postgres) guarded() []string {
	server := p.unprivileged(filepath.Join(p.bin, "postgres"), "-D", p.data())
	return append([]string{"/bin/sh", "-c", postgresGuard, "guard"}, server...)
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// initialise makes the server's files: a superuser postgres with the password
// test. The lines come after the settings.
func (p *Postgres) initialise(ctx context.Context, lines []string) error {
	password := filepath.Join(p.dir, "password")
	if err := os.WriteFile(password, []byte("test\n"), 0o600); err != nil {
		return err
	}
	uid, gid, err := p.owner()
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chown(p.dir, uid, gid), os.Chown(password, uid, gid)); err != nil {
		return err
	}
	command := p.unprivileged(filepath.Join(p.bin, "initdb"), "-D", p.data(), "--no-sync",
		"--username=postgres", "--pwfile="+password, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8")
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = p.dir // the working directory may be closed to the other user
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	conf, err := os.OpenFile(filepath.Join(p.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(strings.Join(append(p.settings(), append(lines, "")...), "\n"))
	return errors.Join(err, conf.Close())
}

// Folder is where the server's files are, "" when it is not one's own.
func (p *Postgres) Folder() string { return p.dir }

// Owner is the user that the server runs as, to whom files outside its folder
// must belong.
func (p *Postgres) Owner() (uid, gid int, err error) { return p.owner() }

// owner is the user that the server runs as.
func (p *Postgres) owner() (uid, gid int, err error) {
	if p.suite != Installed {
		return p.suite.owner()
	}
	if owner := servant(); owner != nil {
		uid, uidErr := strconv.Atoi(owner.Uid)
		gid, gidErr := strconv.Atoi(owner.Gid)
		return uid, gid, errors.Join(uidErr, gidErr)
	}
	return os.Getuid(), os.Getgid(), nil
}

// unprivileged runs a command as another user if this one is root, which
// PostgreSQL refuses. The commands of a suite do so by themselves.
func (p *Postgres) unprivileged(command ...string) []string {
	if owner := servant(); owner != nil && p.suite == Installed {
		return append([]string{"setpriv", "--reuid", owner.Uid, "--regid", owner.Gid, "--clear-groups", "--"}, command...)
	}
	return command
}

// servant is the user for a server when root starts it, else nil.
func servant() *user.User {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return u
		}
	}
	return nil
}

// postgresBinaries finds the folder of initdb and postgres, which Debian keeps
// out of the search path.
func postgresBinaries(ctx context.Context, suite Suite) (string, error) {
	if suite != Installed {
		return suite.prepare(ctx)
	}
	if bin := findPostgres(); bin != "" {
		return bin, nil
	}
	if err := installPostgres(ctx); err != nil {
		return "", err
	}
	if bin := findPostgres(); bin != "" {
		return bin, nil
	}
	return "", errors.New("postgresql was installed and its initdb was not found")
}

func findPostgres() string {
	if file := find("/usr/lib/postgresql/*/bin/initdb", "/usr/local/lib/postgresql/*/bin/initdb",
		"/usr/local/pgsql/bin/initdb", "/usr/pgsql-*/bin/initdb", "/opt/postgresql*/bin/initdb"); file != "" {
		return filepath.Dir(file)
	}
	if file, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(file)
	}
	return ""
}

// installPostgres keeps Debian's package from starting a server of its own.
func installPostgres(ctx context.Context) error {
	const file = clusters + "/answerfeed-test.conf"
	if os.Geteuid() == 0 {
		if err := os.MkdirAll(clusters, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte("create_main_cluster = false\n"), 0o644); err != nil {
			return err
		}
	}
	err := install(ctx, "postgresql")
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}
