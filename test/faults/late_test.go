package faults

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A producer does not notice that nobody consumes: everything waits.
func TestConsumersStopped_EverythingWaits(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		l := newLedger(t, 7, 20_000)
		half := len(l.events) / 2
		l.publish(t, p.open(t), 0, half)
		var lines bytes.Buffer
		for _, e := range l.events[half:] {
			line, err := json.Marshal(map[string]string{"topic": e.topic, "data_base64": base64.StdEncoding.EncodeToString(e.payload)})
			require.NoError(t, err)
			fmt.Fprintf(&lines, "%s\n", line)
		}
		publish := p.command("publish", "-")
		publish.Stdin = &lines
		out, err := publish.CombinedOutput()
		require.NoError(t, err, string(out))

		w := p.start(t)
		w.drained(t)
		l.check(t, w)
	})
}
