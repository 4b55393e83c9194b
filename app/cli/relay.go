package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app"
)

func (c *cli) relay() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Move the outbox of the database to the transport",
		Long: `Relay takes the events that producers stored in the outbox of the configured database, inside their own transactions,
and publishes them to the configured transport, until SIGTERM or SIGINT; then it finishes what is in flight and exits
with 0. It runs no handlers. Any number of relays may run at once; "run" has one, too.

Tables and queues are created and upgraded first, unless the configuration says migrate: false.`,
		Example: `  worker relay
  worker relay --listen 127.0.0.1:9100   # with /metrics and /livez`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := c.load(nil)
			if err != nil {
				return err
			}
			opts := c.options(loaded.Config)
			opts.ConnectWithin = answersWithin
			logWarnings(opts.Logger, loaded)
			if listen == "" {
				return app.Relay(cmd.Context(), opts)
			}
			opts.Registry = prometheus.NewRegistry()
			stop, err := serveMetrics(listen, opts.Registry)
			if err != nil {
				return err
			}
			return errors.Join(app.Relay(cmd.Context(), opts), stop())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "serve /metrics and /livez on this `ADDRESS`; by default nothing is served")
	return cmd
}

// serveMetrics serves what a supervisor and Prometheus ask of a process
// without pages, until stop is called.
func serveMetrics(address string, registry *prometheus.Registry) (stop func() error, err error) {
	at, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(at) }()
	return func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
