package cli

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/internal/alert"
)

// What config check says of alerts.url is what the watcher of a run says.
func TestAlerts_CheckAndRunJudgeAlike(t *testing.T) {
	for url, refused := range map[string]bool{
		"http://127.0.0.1:9000/x": true, "http://localhost/x": true, "http://LOCALHOST./x": true, "http://a.localhost/x": true, "http://[::1]/x": true,
		"http://10.0.0.1/x": true, "http://192.168.1.1/x": true, "http://169.254.169.254/x": true, "http://0.0.0.0/x": true, "http://100.64.0.1/x": true,
		"http://[64:ff9b::a00:1]/x": true, "http://[::ffff:10.0.0.1]/x": true, "http://224.0.0.1/x": true, "http://[fe80::1]/x": true,
		"https://8.8.8.8/x": false, "https://hooks.example.org/x": false, "http://localhosts.example.org/x": false,
	} {
		for _, allowed := range []bool{false, true} {
			loaded, err := config.Load(config.Options{Environ: []string{}, Overrides: map[string]any{"alerts.url": url, "alerts.allow_private": allowed}})
			cfg := alert.DefaultConfig()
			cfg.URL, cfg.AllowPrivate = url, allowed
			_, watching := alert.New(cfg, nil, "me", nil, prometheus.NewRegistry())
			if refused && !allowed {
				require.ErrorContains(t, err, "alerts.allow_private: true", url)
				require.ErrorContains(t, watching, "allow_private", url)
				continue
			}
			require.NoError(t, err, url)
			require.NoError(t, watching, url)
			require.Equal(t, cfg, alert.Config(withoutHosts(loaded.Config.Alerts)), url)
		}
	}
}

func withoutHosts(a config.Alerts) config.Alerts {
	a.AllowHosts = nil
	return a
}

// A broker that is named and not used is told by every verb.
func TestWarnings_AreTold(t *testing.T) {
	here(t)
	write(t, "worker.yaml", "transport:\n  amqp:\n    url: amqp://me:secret@broker/\n")
	const want = "worker: warning: worker.yaml:3:10: transport.amqp.url: it is not used, since transport.kind is sql: for RabbitMQ set transport.kind: amqp\n"
	require.Equal(t, result{exitDone, "", want + "worker.yaml: no problem found\n"}, worker(t, "config", "check"))
	require.Equal(t, result{exitDone, "", want + "published 1, refused 0\n"}, workerWith(t, t.Context(), answerLine(1), "publish"))
	require.Equal(t, want, worker(t, "backlog").err)
}
