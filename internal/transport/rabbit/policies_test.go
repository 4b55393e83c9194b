package rabbit_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// Policies on the worker's queues that lose messages, or hinder it, are named
// where they can be seen.
func TestPolicies_AreNamed(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, p string) {
		s := subscription()
		s.Delays = []time.Duration{time.Second}
		subs, queue := []transport.Subscription{s}, p+s.Queue()
		r := open(t, settings(server.URL, p, noSettings))
		require.NoError(t, r.Migrate(t.Context(), subs))
		log := &lines{}
		cfg := settings(server.URL, p, noSettings)
		cfg.Management, cfg.Logger = server.management, log.logger()
		watching := open(t, cfg)
		require.NoError(t, watching.Migrate(t.Context(), subs))
		require.Zero(t, log.count("polic"), "none applies: %s", &log.text)

		// The broker's figures are some seconds old.
		for name, definition := range map[string]map[string]any{
			"":          {"expires": 3600000, "delivery-limit": 3},
			".delay.1s": {"expires": 3600000},
			".dead":     {"message-ttl": 3600000},
			".letters":  {"max-length-bytes": 1000000, "overflow": "drop-head"},
			".held":     {"max-length": 1000000},
		} {
			policy(t, server, p+strings.TrimPrefix(name, "."), "^"+strings.ReplaceAll(queue+name, ".", `\.`)+"$", definition)
		}
		want := map[string]bool{
			" expires": true, " delivery-limit": false, ".delay.1s expires": true, ".dead message-ttl": true,
			".letters max-length-bytes": true, ".letters overflow": true, ".held max-length": true,
		}
		require.Eventually(t, func() bool {
			got, err := watching.Policies(t.Context(), subs)
			require.NoError(t, err)
			found := map[string]bool{}
			for _, g := range got {
				name := strings.TrimPrefix(g.Queue, queue)
				require.Equal(t, p+strings.TrimPrefix(name, "."), g.Policy)
				found[name+" "+g.Key] = g.Loses
			}
			return maps.Equal(want, found)
		}, patience, 100*time.Millisecond)
		require.NoError(t, watching.Check(t.Context(), subs))
		require.Equal(t, 1, log.count("level=ERROR", "a policy of the broker can lose messages", "queue="+queue+" ", "policy="+p, "key=expires"))
		require.Equal(t, 1, log.count("level=WARN", "a policy of the broker hinders", "queue="+queue+" ", "key=delivery-limit"))
	})
}

// A management API that refuses, or is away, keeps no worker from starting,
// and no line holds the password.
func TestPolicies_CannotBeRead(t *testing.T) {
	onEach(t, func(t *testing.T, server *broker, p string) {
		for management, want := range map[string]string{
			strings.Replace(server.management, "guest:guest", "guest:s3cret", 1): "status 401",
			"http://guest:s3cret@127.0.0.1:1":                                    "connection refused",
		} {
			log := &lines{}
			cfg := settings(server.URL, p, noSettings)
			cfg.Management, cfg.Logger = management, log.logger()
			migrated(t, cfg)
			require.Equal(t, 1, log.count("level=WARN", "policies could not be read", want))
			require.Zero(t, log.count("s3cret"))
		}
	})
}
