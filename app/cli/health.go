package cli

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthWithin bounds the question.
const healthWithin = 3 * time.Second

func (c *cli) health() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Ask the worker of this configuration whether it is ready",
		Long: `Health asks the worker that runs on this machine with this configuration whether it is ready: exit 0 when it is,
else 1. It is what a container's health check calls.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := c.load(nil)
			if err != nil {
				return err
			}
			host, port, err := net.SplitHostPort(loaded.Config.Web.Listen)
			if err != nil {
				return usageError{fmt.Errorf("web.listen: %w", err)}
			}
			if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
				host = "127.0.0.1" // it listens everywhere, this address included
			}
			url := "http://" + net.JoinHostPort(host, port) + "/readyz"
			request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			response, err := (&http.Client{Timeout: healthWithin}).Do(request)
			if err != nil {
				return fmt.Errorf("the worker does not answer: %w", err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answered %s", url, response.Status)
			}
			fmt.Fprintln(c.Err, "ready")
			return nil
		},
	}
}
