package relay_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/relay"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// childVariable makes this test binary a relay, to be killed.
const childVariable = "WORKER_TEST_CHILD"

// relayWithoutEnd runs a relay and prints a line when it begins, and one for
// each parcel that the transport has confirmed.
func relayWithoutEnd(text string) error {
	var p place
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	db, to, _, err := p.open(context.Background())
	if err != nil {
		return err
	}
	r, err := relay.New(relay.Options{DB: db, Transport: telling{to}, Lease: p.Lease, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	fmt.Println("begins")
	r.Run(context.Background())
	return nil
}

// telling is a transport that prints.
type telling struct{ transport.Transport }

func (t telling) Publisher() message.Publisher { return tellingPublisher{t.Transport.Publisher()} }

type tellingPublisher struct{ message.Publisher }

func (p tellingPublisher) Publish(topic string, msgs ...*message.Message) error {
	err := p.Publisher.Publish(topic, msgs...)
	if err == nil {
		fmt.Println("sent", len(msgs))
	}
	return err
}

// Several relays move what is being stored; again and again one of them is
// killed, at any moment of its work, and another started.
func TestRelay_Killed(t *testing.T) {
	t.Parallel()
	t.Run("SQLite to SQLite", func(t *testing.T) { killRelays(t, onSQLite(t), 12, 3000) })
	t.Run("PostgreSQL to RabbitMQ", func(t *testing.T) { killRelays(t, onBroker(t), 50, 20000) })
}

// relays is how many run at once.
const relays = 4

func killRelays(t *testing.T, p place, killed, moved int) {
	p.Lease = 3 * time.Second
	s := set(t, p)
	k := s.listen(topic)
	lives := make(chan struct{})
	ended := make(chan error, relays)
	for range relays {
		go func() {
			var err error
			for range lives {
				err = errors.Join(err, shortLife(t.Context(), p))
			}
			ended <- err
		}()
	}
	for n := range killed {
		s.publish(topic, n*moved/killed, (n+1)*moved/killed)
		lives <- struct{}{}
	}
	close(lives)
	for range relays {
		require.NoError(t, <-ended)
	}
	before := k.count()
	s.relay(relay.Options{})
	twice := 0
	for _, n := range s.all(k, moved) {
		twice += n - 1
	}
	t.Logf("%d came by relays that were killed; %d came twice, with the same UUID", before, twice)
}

// shortLife starts a relay and kills it: a second and a half after it began at the
// latest, else at a random moment around its first parcels.
func shortLife(ctx context.Context, p place) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	begun, left := false, rand.N(4)
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); left-- {
		if !begun {
			begun = true
			kill.Reset(1500 * time.Millisecond)
		}
		if left == 0 {
			kill.Reset(rand.N(30 * time.Millisecond))
		}
	}
	if err := cmd.Wait(); !begun {
		return fmt.Errorf("a relay did not begin: %w", err)
	}
	return nil
}
