package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
)

// A broker is named, and nothing leads to it: events would go into a file.
func TestWarnings_BrokerThatIsNotUsed(t *testing.T) {
	const url = "amqp://me:hunter2@broker/"
	tests := map[string]struct {
		file    string
		environ []string
		want    string // "" = none
	}{
		"in the file":         {"transport:\n  amqp:\n    url: " + url + "\n", nil, "FILE:3:10: transport.amqp.url: it is not used, since transport.kind is sql: for RabbitMQ set transport.kind: amqp"},
		"in a variable":       {"{}", []string{"WORKER_TRANSPORT_AMQP_URL=" + url}, "WORKER_TRANSPORT_AMQP_URL: it is not used, since transport.kind is sql: for RabbitMQ set transport.kind: amqp"},
		"other nodes":         {"transport: {amqp: {failover: ['" + url + "']}}", nil, "FILE:1:30: transport.amqp.failover: it is not used, since transport.kind is sql: for RabbitMQ set transport.kind: amqp"},
		"with the kind":       {"transport: {kind: amqp, amqp: {url: '" + url + "'}}", nil, ""},
		"kind set to sql":     {"transport: {kind: sql, amqp: {url: '" + url + "'}}", nil, ""},
		"kind by a variable":  {"transport: {amqp: {url: '" + url + "'}}", []string{"WORKER_TRANSPORT_KIND=amqp"}, ""},
		"nothing is set":      {"{}", nil, ""},
		"another amqp's only": {"transport: {amqp: {heartbeat: 9s}}", nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := write(t, test.file)
			loaded, err := config.Load(config.Options{File: file, Environ: append([]string{}, test.environ...)})
			require.NoError(t, err)
			if test.want == "" {
				require.Empty(t, loaded.Warnings)
				return
			}
			require.Len(t, loaded.Warnings, 1)
			w := loaded.Warnings[0]
			if w.File != "" {
				w.File = "FILE"
			}
			require.Equal(t, test.want, w.String())
		})
	}
}
