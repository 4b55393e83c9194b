package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// URLVariable names a RabbitMQ to be used in place of one's own. It cannot be
// killed.
const URLVariable = "WORKER_TEST_AMQP_URL"

// errGiven: the test would do something to the broker that URLVariable names.
var errGiven = errors.New("this needs a RabbitMQ of the test's own, which " + URLVariable + " does not name")

// RabbitMQ is a broker.
type RabbitMQ struct {
	// URL is amqp://guest:guest@127.0.0.1:PORT/.
	URL string
	// Port is where it listens, on 127.0.0.1.
	Port int

	dir    string // "" when it is not one's own
	script string
	env    []string
	keeper *process // removes dir
	names  *process // Erlang's port mapper, of its own
	server *process
}

// SharedRabbitMQ is the broker that [URLVariable] names, if it is set, else
// one's own: for tests that do nothing to the broker itself.
func SharedRabbitMQ(ctx context.Context) (*RabbitMQ, error) {
	if url := os.Getenv(URLVariable); url != "" {
		return &RabbitMQ{URL: url}, nil
	}
	return StartRabbitMQ(ctx)
}

// RabbitMQOptions say which broker to start. The zero value is the machine's
// own, with its defaults.
type RabbitMQOptions struct {
	Suite Suite
	// Lines are added to rabbitmq.conf.
	Lines []string
	// Plugins are enabled, such as rabbitmq_management. An HTTP port of theirs
	// is set by Lines.
	Plugins []string
	// Erlang are arguments of its runtime, such as
	// "-rabbit quorum_tick_interval 1000".
	Erlang string
}

// StartRabbitMQ starts the machine's own broker and waits until it answers:
// about 8 s. The lines are added to its rabbitmq.conf.
func StartRabbitMQ(ctx context.Context, lines ...string) (*RabbitMQ, error) {
	return StartRabbitMQWith(ctx, RabbitMQOptions{Lines: lines})
}

// StartRabbitMQWith starts a broker of one's own and waits until it answers.
func StartRabbitMQWith(ctx context.Context, opts RabbitMQOptions) (*RabbitMQ, error) {
	names, err := FreePort()
	if err != nil {
		return nil, err
	}
	r, err := makeRabbitMQ(ctx, opts, names)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.configure(opts.Lines), r.Start(ctx)); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// StartCluster starts three brokers that are one cluster, and waits until all
// answer: about 20 s.
func StartCluster(ctx context.Context, opts RabbitMQOptions) (nodes [3]*RabbitMQ, err error) {
	defer func() {
		if err != nil {
			for _, r := range nodes {
				if r != nil {
					err = errors.Join(err, r.Stop())
				}
			}
		}
	}()
	names, err := FreePort()
	if err != nil {
		return nodes, err
	}
	lines := append([]string{"cluster_formation.peer_discovery_backend = classic_config"}, opts.Lines...)
	for i := range nodes {
		if nodes[i], err = makeRabbitMQ(ctx, opts, names); err != nil {
			return nodes, err
		}
		lines = append(lines, fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s", i+1, nodes[i].node()))
	}
	started := make(chan error, len(nodes))
	for _, r := range nodes { // each waits for the others
		go func() { started <- errors.Join(r.configure(lines), r.Start(ctx)) }()
	}
	for range nodes {
		err = errors.Join(err, <-started)
	}
	return nodes, err
}

// makeRabbitMQ makes a broker's folder and its port mapper of Erlang, on the
// port that nodes of a cluster share: the first that comes has it.
func makeRabbitMQ(ctx context.Context, opts RabbitMQOptions, names int) (r *RabbitMQ, err error) {
	script, epmd, err := rabbitBinaries(ctx, opts.Suite)
	if err != nil {
		if os.Getenv(URLVariable) != "" {
			err = fmt.Errorf("%w: %w", errGiven, err)
		}
		return nil, err
	}
	dir, err := os.MkdirTemp("", "answerfeed-rabbitmq")
	if err != nil {
		return nil, err
	}
	var ports [2]int
	for i := range ports {
		if ports[i], err = FreePort(); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	r = &RabbitMQ{
		URL: fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", ports[0]), Port: ports[0],
		dir: dir, script: script,
		env: []string{
			"HOME=" + dir,
			"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
			"RABBITMQ_NODE_PORT=" + strconv.Itoa(ports[0]),
			"RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[1]),
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} " + opts.Erlang,
			"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data"),
			"RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"),
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
			"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq"), // and none of the machine's
			"RABBITMQ_ADVANCED_CONFIG_FILE=" + filepath.Join(dir, "advanced"),
			"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "env"),
			"ERL_EPMD_PORT=" + strconv.Itoa(names),
		},
	}
	r.env = append(r.env, "RABBITMQ_NODENAME="+r.node())
	for name, text := range map[string]string{
		"plugins": "[" + strings.Join(opts.Plugins, ",") + "].\n", "env": "", ".erlang.cookie": "throwaway",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o400); err != nil {
			return nil, errors.Join(err, r.Stop())
		}
	}
	if r.keeper, err = launch(ctx, os.DevNull, nil, "/bin/sh", "-c", keeper, "keeper", dir); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	if r.names, err = launch(ctx, filepath.Join(dir, "epmd.log"), nil, guarded(epmd, "-port", strconv.Itoa(names), "-address", "127.0.0.1")...); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// configure writes rabbitmq.conf.
func (r *RabbitMQ) configure(lines []string) error {
	return os.WriteFile(filepath.Join(r.dir, "rabbitmq.conf"), []byte(strings.Join(append(lines, ""), "\n")), 0o600)
}

// Start starts a broker that was killed, on the same port with the same data,
// and waits until it answers.
func (r *RabbitMQ) Start(ctx context.Context) (err error) {
	if r.dir == "" {
		return errGiven
	}
	log := filepath.Join(r.dir, "server.log")
	if r.server, err = launch(ctx, log, r.env, guarded(r.script)...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		conn, err := amqp.Dial(r.URL)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log)
			return fmt.Errorf("RabbitMQ does not answer: %w\n%s", err, text[max(0, len(text)-2000):])
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Kill is kill -9. A broker that is not one's own is left alone, and Start says
// so.
func (r *RabbitMQ) Kill() {
	if r.server != nil {
		r.server.kill()
	}
}

// Pid is the process id of the server, for a SIGSTOP; 0 when it does not run.
func (r *RabbitMQ) Pid() int {
	if r.server == nil {
		return 0
	}
	return r.server.cmd.Process.Pid
}

// Stop ends the broker and removes its folder.
func (r *RabbitMQ) Stop() error {
	if r.dir == "" {
		return nil
	}
	for _, p := range []*process{r.server, r.names} {
		if p != nil {
			p.kill()
		}
	}
	err := os.RemoveAll(r.dir)
	if r.keeper != nil {
		r.keeper.kill()
	}
	return err
}

// Log is what the server wrote, for a failed test.
func (r *RabbitMQ) Log() string {
	text, _ := os.ReadFile(filepath.Join(r.dir, "server.log"))
	return string(text)
}

// Ctl runs rabbitmqctl on the broker and returns what it wrote.
func (r *RabbitMQ) Ctl(ctx context.Context, args ...string) (string, error) {
	if r.dir == "" {
		return "", fmt.Errorf("rabbitmqctl %s: %w", args[0], errGiven)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(r.script), "rabbitmqctl"), append([]string{"-n", r.node()}, args...)...)
	cmd.Env = append(os.Environ(), r.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rabbitmqctl %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}

// node is the broker's name among Erlang's nodes.
func (r *RabbitMQ) node() string { return "test" + strconv.Itoa(r.Port) + "@localhost" }

// rabbitBinaries finds the package's own start script, which runs as any
// user, and Erlang's port mapper.
func rabbitBinaries(ctx context.Context, suite Suite) (script, epmd string, err error) {
	if suite != Installed {
		folder, err := suite.prepare(ctx)
		return filepath.Join(folder, "rabbitmq-server"), filepath.Join(folder, "epmd"), err
	}
	if script, epmd = findRabbit(); script != "" && epmd != "" {
		return script, epmd, nil
	}
	if err := install(ctx, "rabbitmq-server"); err != nil {
		return "", "", err
	}
	if script, epmd = findRabbit(); script == "" || epmd == "" {
		return "", "", errors.New("rabbitmq-server was installed and its start script was not found")
	}
	return script, epmd, nil
}

func findRabbit() (script, epmd string) {
	return find("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server", "/opt/rabbitmq*/sbin/rabbitmq-server", "/usr/local/lib/rabbitmq*/sbin/rabbitmq-server"),
		find("/usr/bin/epmd", "/usr/local/bin/epmd", "/usr/lib/erlang/bin/epmd", "/usr/lib/erlang/erts-*/bin/epmd")
}
