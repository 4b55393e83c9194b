package faults

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// network is what lies between a worker and its broker.
type network struct {
	url   string // of the broker, by way of this network
	proxy *toxiproxy.Proxy
}

func newNetwork(t testing.TB, broker string) *network {
	t.Helper()
	u, err := url.Parse(broker)
	require.NoError(t, err)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "broker", "127.0.0.1:0", u.Host)
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
