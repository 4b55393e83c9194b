package cli

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
)

// A line that the broker refuses is told with the broker's reason, and the
// others go out.
func TestPublish_RefusedByTheBroker(t *testing.T) {
	here(t)
	server, err := testserver.StartRabbitMQWith(t.Context(), testserver.RabbitMQOptions{Suite: testserver.Trixie, Lines: []string{"max_message_size = 524288"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	write(t, "worker.yaml", fmt.Sprintf("transport: {kind: amqp, amqp: {url: %q}}\n", server.URL))
	require.Equal(t, exitDone, worker(t, "migrate").code)
	var lines strings.Builder
	for n := range 61 {
		if n == 30 {
			fmt.Fprintf(&lines, `{"topic":"answer-added","data_base64":%q}`+"\n", base64.StdEncoding.EncodeToString(make([]byte, 600000)))
			continue
		}
		lines.WriteString(answerLine(n))
	}
	write(t, "events.ndjson", lines.String())
	r := worker(t, "publish", "--raw", "events.ndjson")
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, 2, strings.Count(r.err, "\n"), r.err)
	require.Contains(t, r.err, "events.ndjson:31: the message cannot be published: it is too large")
	require.Contains(t, r.err, "max size 524288")
	require.Contains(t, r.err, "published 60, refused 1\n")
	require.EqualValues(t, 60, queues(t)["answer-added.feed"].Ready)
}
