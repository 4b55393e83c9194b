package transporttest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// childVariable holds the part of a test binary that the suite started again,
// to be killed.
const childVariable = "WORKER_TEST_CHILD"

// publishers is how many publish at once where something is killed.
const publishers = 8

type role string

const (
	publishes role = "publishes" // without end; prints the UUID of what was confirmed
	takes     role = "takes"     // prints the UUID of each message and never acknowledges
)

// part is what a child plays.
type part struct {
	Role       role
	Address    string
	Settings   Settings
	Window     int
	AtMostOnce bool
}

// Child plays the part of a process to be killed, if the suite has started
// this one for that, and does not return then. A transport's TestMain calls
// it first. open is like [Broker.Open].
func Child(open func(address string, s Settings) (transport.Transport, error)) {
	text := os.Getenv(childVariable)
	if text == "" {
		return
	}
	fmt.Fprintln(os.Stderr, play(text, open))
	os.Exit(1)
}

func play(text string, open func(address string, s Settings) (transport.Transport, error)) error {
	var p part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	t, err := open(p.Address, p.Settings)
	if err != nil {
		return err
	}
	if p.Role == publishes {
		return playPublisher(t)
	}
	c := window(p.Window)
	c.AtMostOnce = p.AtMostOnce
	sub, err := t.Subscriber(c)
	if err != nil {
		return err
	}
	messages, err := sub.Subscribe(context.Background(), topic)
	if err != nil {
		return err
	}
	for m := range messages {
		fmt.Println(m.UUID)
	}
	return nil
}

func playPublisher(t transport.Transport) error {
	failed := make(chan error)
	for range publishers {
		go func() {
			for {
				id := watermill.NewUUID()
				if err := t.Publisher().Publish(topic, message.NewMessage(id, []byte(body(id)))); err != nil {
					failed <- err
					return
				}
				fmt.Println(id) // one write of one line
			}
		}()
	}
	return <-failed
}

// process is a running child.
type process struct {
	s   *stage
	cmd *exec.Cmd
	out chan string
}

// spawn starts this test binary again, to play p.
func (s *stage) spawn(p part) *process {
	s.Helper()
	p.Address = s.Address
	text, err := json.Marshal(p)
	require.NoError(s, err)
	self, err := os.Executable()
	require.NoError(s, err)
	cmd := exec.CommandContext(s.Context(), self) // SIGKILL when the test ends
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(s, err)
	require.NoError(s, cmd.Start())
	out := make(chan string)
	go func() {
		defer close(out)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			out <- lines.Text()
		}
	}()
	s.Cleanup(func() {
		for range out { // lets the reader end
		}
		cmd.Wait() //nolint:errcheck // it was killed
	})
	return &process{s, cmd, out}
}

// lines waits for n lines of the child.
func (p *process) lines(n int) []string {
	p.s.Helper()
	timeout := time.After(patience)
	var got []string
	for len(got) < n {
		select {
		case line, open := <-p.out:
			require.True(p.s, open, "the child ended by itself")
			got = append(got, line)
		case <-timeout:
			require.Fail(p.s, "the child did not get so far", "%d of %d", len(got), n)
		}
	}
	return got
}

// kill ends the child with SIGKILL and returns the lines that it had printed.
func (p *process) kill() (rest []string) {
	p.s.Helper()
	require.NoError(p.s, p.cmd.Process.Kill())
	for line := range p.out {
		rest = append(rest, line)
	}
	return rest
}
