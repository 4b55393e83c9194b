package rabbit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"os"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// Config says which broker, and how to reach it.
type Config struct {
	// URLs are amqp:// or amqps:// with user, password, host, port and
	// virtual host, tried in turn: the nodes of a cluster. At least one.
	URLs []string
	// Prefix is put before each exchange's and queue's name: [a-z0-9_-]{0,32}.
	Prefix string
	// Management is http:// or https:// with user, password, host and port of
	// the management API, where policies can be seen. The user defaults to the
	// first URL's. Defaults to none.
	Management string
	// CA, Cert and Key are PEM files for amqps: who is trusted to have signed
	// the broker's certificate (default: the system's), and the worker's own
	// certificate. ServerName is the name that the broker's certificate must
	// have; defaults to the URL's host.
	CA, Cert, Key, ServerName string
	// Heartbeat is how often both ends show that they are there; after three
	// without one the connection is given up. Defaults to 5 s.
	Heartbeat time.Duration
	// ConnectTimeout is how long the first connection is tried for. Defaults
	// to 30 s.
	ConnectTimeout time.Duration
	// PublishTimeout bounds a Publish whose context does not end before.
	// Defaults to 10 s.
	PublishTimeout time.Duration
	// NackPause is how long a nacked message is held before it goes back.
	// Defaults to 1 s.
	NackPause time.Duration
	// Name is shown by the broker beside the connections. Defaults to
	// answerfeed, with host and process id.
	Name string
	// Subscriptions are those that the worker has, whoever declares them: for
	// the backlog, and for what is deleted underfoot.
	Subscriptions []transport.Subscription
	// Registry takes the metrics. nil = they are kept from everybody.
	Registry prometheus.Registerer
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

var validPrefix = regexp.MustCompile(`^[a-z0-9_-]{0,32}$`)

func (c *Config) complete() error {
	if len(c.URLs) == 0 {
		return errors.New("no URL is given")
	}
	for _, u := range c.URLs {
		parsed, err := amqp.ParseURI(u)
		if err != nil || parsed.Port < 1 || parsed.Port > math.MaxUint16 {
			return errors.New("a URL is not of the form amqp://user:password@host:port/vhost")
		}
		if parsed.CACertFile+parsed.CertFile+parsed.KeyFile+parsed.ServerName != "" {
			return errors.New("a URL names certificates; use ca, cert, key and server_name for them")
		}
	}
	if c.Management != "" {
		if _, err := newManagement(*c); err != nil {
			return err
		}
	}
	if !validPrefix.MatchString(c.Prefix) {
		return fmt.Errorf("prefix %q: it may have up to 32 of a-z, 0-9, _ and -", c.Prefix)
	}
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("cert and key belong together; give both or none")
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&c.Heartbeat, 5 * time.Second}, {&c.ConnectTimeout, 30 * time.Second},
		{&c.PublishTimeout, 10 * time.Second}, {&c.NackPause, time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if c.Name == "" {
		host, _ := os.Hostname()
		c.Name = fmt.Sprintf("answerfeed %s %d", host, os.Getpid())
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// tls is what amqps goes by.
func (c *Config) tls() (*tls.Config, error) {
	t := &tls.Config{ServerName: c.ServerName, MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("reading ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading ca: %s holds no PEM certificate", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("reading cert and key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// host is a URL without what is secret in it.
func host(u string) string {
	parsed, err := url.Parse(u)
	if err != nil {
		return "(unreadable URL)"
	}
	return parsed.Scheme + "://" + parsed.Host + parsed.EscapedPath()
}
