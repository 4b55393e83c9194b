package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two thousand letters of two handlers are a few lines, whose counts tell all.
func TestRun_AFloodOfLettersIsFewLines(t *testing.T) {
	here(t)
	write(t, "worker.yaml", "log: {format: json}\nweb: {listen: '127.0.0.1:0'}\n")
	const n = 1000
	var events strings.Builder
	for i := range n {
		fmt.Fprintf(&events, `{"topic":"answer-added","data":{"answer_id":%d}}`+"\n", i)
	}
	require.Equal(t, exitDone, workerWith(t, t.Context(), events.String(), "publish", "--raw").code)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log output
	code := make(chan int, 1)
	go func() { code <- Run(ctx, stock(Options{Args: []string{"run"}, Err: &log})) }()
	eventually(t, func() bool {
		all := queues(t)
		return *all["answer-added.feed"].Dead == n && *all["answer-added.leaderboard"].Dead == n
	})
	stop()
	require.Equal(t, exitDone, <-code)
	lines, told := 0, 0
	for line := range strings.Lines(log.String()) {
		var l struct {
			Msg      string
			Repeated int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if l.Msg == "dead letter" {
			lines++
			told += max(1, l.Repeated)
		}
	}
	require.Equal(t, 2*n, told)
	require.Less(t, lines, n/10)
}
