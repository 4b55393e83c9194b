package rabbit_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
)

// isolate keeps a node of a cluster away from the others, which it may not be
// connected with at this moment.
func isolate(t *testing.T, node *testserver.RabbitMQ, nodes [3]*testserver.RabbitMQ) {
	t.Helper()
	var names []string
	for _, other := range nodes {
		if other != node {
			names = append(names, fmt.Sprintf("'test%d@localhost'", other.Port))
		}
	}
	ctl(t, node, "eval", fmt.Sprintf("[begin erlang:set_cookie(N, other), erlang:disconnect_node(N) end || N <- [%s]].", strings.Join(names, ",")))
}

// A worker leaves a node that hangs, or that is cut off from the majority of
// its cluster, for one that serves its queues; while there is none it says so,
// and stays.
func TestCluster_NodeThatCannotServeIsLeft(t *testing.T) {
	for _, suite := range []testserver.Suite{testserver.Sid} {
		t.Run(suite.String(), func(t *testing.T) {
			nodes, err := testserver.StartCluster(t.Context(), testserver.RabbitMQOptions{Suite: suite})
			require.NoError(t, err)
			t.Cleanup(func() {
				for _, node := range nodes {
					require.NoError(t, node.Stop())
				}
			})
			log := &lines{}
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(log.text.String())
				}
			})
			cfg := settings(nodes[0].URL, prefix(), noSettings)
			cfg.URLs = []string{nodes[0].URL, nodes[1].URL, nodes[2].URL}
			cfg.Logger = log.logger()
			r := migrated(t, cfg)
			const window = 10
			messages := consume(t, r, window)
			// More than one consumer holds: the broker gives some to one whose
			// node hangs until it takes that node for dead.
			come := func(id string) {
				t.Helper()
				var many []*message.Message
				for range 5 * window {
					many = append(many, message.NewMessage(id, nil))
				}
				require.Eventually(t, func() bool { return r.Publisher().Publish(topic, many...) == nil }, 2*patience, 10*time.Millisecond)
				for m := next(t, messages); ; m = next(t, messages) {
					m.Ack()
					if m.UUID == id {
						return
					}
				}
			}
			come("before")
			require.Eventually(t, func() bool {
				out, err := nodes[0].Ctl(t.Context(), "list_queues", "name", "-q")
				return err == nil && strings.Contains(out, cfg.Prefix+"answerfeed.probe.1")
			}, patience, time.Second)

			// The node that is published to hangs, and another is consumed from.
			r.PublishAt(1)
			come("by another node")
			stop(t, nodes[1])
			left(t, log, nodes[1])
			require.Equal(t, 0, r.PublishesAt())
			come("after a hang of the publishing side")
			require.NoError(t, syscall.Kill(-nodes[1].Pid(), syscall.SIGCONT))

			// The node hangs: the heartbeat would tell after three times 5 s.
			stop(t, nodes[0])
			began := time.Now()
			left(t, log, nodes[0])
			t.Logf("left after %s", time.Since(began))
			require.Less(t, time.Since(began), 12*time.Second)
			come("after a hang")
			require.NoError(t, syscall.Kill(-nodes[0].Pid(), syscall.SIGCONT))
			require.Eventually(t, func() bool { return r.Ping(t.Context()) == nil }, patience, 100*time.Millisecond)

			// The node that it went to is cut off from the others.
			cut := wentTo(t, log, nodes)
			isolate(t, nodes[cut], nodes)
			left(t, log, nodes[cut])
			come("after a partition")

			// No node has a majority: that is said once, and nothing flaps.
			at := wentTo(t, log, nodes)
			other := 3 - cut - at
			leavings := log.count("leaving a node")
			said := func() int { return log.count("does not serve its queues; looking", "node "+host(nodes[at])) }
			before := said()
			stop(t, nodes[other])
			require.Eventually(t, func() bool { return r.Ping(t.Context()) != nil }, patience, 100*time.Millisecond)
			waitFor(t, 2*time.Second)
			require.ErrorContains(t, r.Ping(t.Context()), "does not serve its queues")
			require.Equal(t, before+1, said(), "it is said once")
			require.Equal(t, leavings, log.count("leaving a node"))
			require.NoError(t, syscall.Kill(-nodes[other].Pid(), syscall.SIGCONT))
			require.Eventually(t, func() bool { return r.Ping(t.Context()) == nil }, patience, 100*time.Millisecond)
			come("after an outage")
			require.Equal(t, leavings, log.count("leaving a node"))
			// The broker may close the connection of a question that it cannot answer.
			require.Equal(t, log.count(`msg="the connection to the broker broke"`, "answerfeed.probe"), log.count(`msg="the connection to the broker broke"`))
		})
	}
}

func stop(t *testing.T, node *testserver.RabbitMQ) {
	t.Helper()
	pid := node.Pid()
	require.NoError(t, syscall.Kill(-pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGCONT) })
}

func host(node *testserver.RabbitMQ) string { return fmt.Sprintf("amqp://127.0.0.1:%d/", node.Port) }

// left waits until a node was left.
func left(t *testing.T, log *lines, node *testserver.RabbitMQ) {
	t.Helper()
	require.Eventually(t, func() bool { return log.count("leaving a node", "from="+host(node)) > 0 }, patience, 10*time.Millisecond)
}

// wentTo is the node to which the last one was left.
func wentTo(t *testing.T, log *lines, nodes [3]*testserver.RabbitMQ) (at int) {
	t.Helper()
	log.mu.Lock()
	defer log.mu.Unlock()
	at = -1
	for line := range strings.Lines(log.text.String()) {
		for i, node := range nodes {
			if strings.Contains(line, "leaving a node") && strings.Contains(line, "to="+host(node)) {
				at = i
			}
		}
	}
	require.NotEqual(t, -1, at)
	return at
}

// waitFor lets time pass that a test is about.
func waitFor(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
