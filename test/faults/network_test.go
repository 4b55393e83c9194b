package faults

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	proxytoxics "github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// network is what lies between a worker and its broker or database.
type network struct {
	url   string // of the server, by way of this network
	proxy *toxiproxy.Proxy
}

func newNetwork(t testing.TB, server string) *network {
	t.Helper()
	u, err := url.Parse(server)
	require.NoError(t, err)
	proxytoxics.Register(cutAtCommit, new(commitCutter))
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(proxies, "server", "127.0.0.1:0", u.Host)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	u.Host = proxy.Listen
	return &network{u.String(), proxy}
}

// toxic is something wrong with a network.
type toxic struct {
	kind, attributes string // of toxiproxy
	// breaks tells that connections end of it, and do not only suffer.
	breaks bool
}

var toxics = []struct {
	name string
	toxic
}{
	{"reset", toxic{"reset_peer", `{"timeout": 0}`, true}},
	{"black hole", toxic{"timeout", `{"timeout": 0}`, true}}, // noticed by the heartbeat
	{"latency of 2 s", toxic{"latency", `{"latency": 2000}`, false}},
	{"slices", toxic{"slicer", `{"average_size": 50, "size_variation": 40}`, false}},
	{"cut in the middle of a frame", toxic{"limit_data", `{"bytes": 100003}`, true}},
}

// with runs do while something is wrong, in both directions.
func (n *network) with(t testing.TB, bad toxic, do func()) {
	t.Helper()
	for _, direction := range []string{"upstream", "downstream"} {
		_, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(
			fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "attributes": %s}`, direction, bad.kind, direction, bad.attributes)))
		require.NoError(t, err)
	}
	do()
	n.proxy.Toxics.ResetToxics(context.Background())
}

// cutAtCommit is a toxic of our own: a connection ends when it has sent COMMIT
// to PostgreSQL, or a whole transaction with the Sync that commits it, so many times after others went well, before the answer is
// there. It is to be put on both directions, and does nothing to answers.
const cutAtCommit = "cut_at_commit"

// cutCommits counts the commits whose answer nobody got.
var cutCommits atomic.Int64

type commitCutter struct {
	After int `json:"after"`
}

// Pipe implements toxics.Toxic.
func (c *commitCutter) Pipe(stub *proxytoxics.ToxicStub) {
	// As pgx sends it; whole, since the worker waits for one answer before it
	// sends the next message.
	commit := []byte("Q\x00\x00\x00\x0bcommit\x00")
	// Each statement of a transaction in one round trip is executed so, and
	// its Sync is the commit.
	executed, synced := []byte("E\x00\x00\x00\x09\x00\x00\x00\x00\x00"), []byte("S\x00\x00\x00\x04")
	commits := 0
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			stub.Output <- chunk
			together := bytes.Count(chunk.Data, executed) > 1 && bytes.HasSuffix(chunk.Data, synced)
			if !together && !bytes.Contains(chunk.Data, commit) {
				continue
			}
			if commits++; commits > c.After {
				cutCommits.Add(1)
				stub.Close()
				return
			}
		}
	}
}
