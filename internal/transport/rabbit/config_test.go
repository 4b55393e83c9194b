package rabbit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
	"github.com/answerfeed/answerfeed/internal/transport/transporttest"
)

var noSettings transporttest.Settings

const secret = "s3cret-pa%2Fssword"

func TestNew_RefusesAConfig(t *testing.T) {
	good := "amqp://user:" + secret + "@127.0.0.1/"
	for name, test := range map[string]struct {
		cfg  rabbit.Config
		want string
	}{
		"no URL":             {rabbit.Config{}, "no URL is given"},
		"another scheme":     {rabbit.Config{URLs: []string{"http://user:" + secret + "@127.0.0.1/"}}, "not of the form"},
		"no scheme":          {rabbit.Config{URLs: []string{"127.0.0.1:5672"}}, "not of the form"},
		"the second":         {rabbit.Config{URLs: []string{good, "amqp://user:" + secret + "@127.0.0.1:port/"}}, "not of the form"},
		"a bad escape":       {rabbit.Config{URLs: []string{"amqp://user:" + secret + "%@127.0.0.1/"}}, "not of the form"},
		"a space":            {rabbit.Config{URLs: []string{"amqp://user:" + secret + "@127.0.0.1/ "}}, "not of the form"},
		"a port too high":    {rabbit.Config{URLs: []string{"amqp://user:" + secret + "@127.0.0.1:70000/"}}, "not of the form"},
		"capitals in prefix": {rabbit.Config{URLs: []string{good}, Prefix: "A"}, "prefix"},
		"a dot in prefix":    {rabbit.Config{URLs: []string{good}, Prefix: "a."}, "prefix"},
		"a long prefix":      {rabbit.Config{URLs: []string{good}, Prefix: strings.Repeat("a", 33)}, "prefix"},
		"a cert alone":       {rabbit.Config{URLs: []string{good}, Cert: "c"}, "belong together"},
		"a key alone":        {rabbit.Config{URLs: []string{good}, Key: "c"}, "belong together"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rabbit.New(t.Context(), test.cfg)
			require.ErrorContains(t, err, test.want)
			hidesSecret(t, err.Error())
		})
	}
}

func hidesSecret(t *testing.T, text string) {
	t.Helper()
	require.NotContains(t, text, "s3cret")
	plain, err := url.PathUnescape(secret)
	require.NoError(t, err)
	require.NotContains(t, text, plain)
}

// Whoever cannot connect says where, why, and by when it gave up, and never
// with which password.
func TestNew_CannotConnect(t *testing.T) {
	server := rough.get(t)
	address := strings.TrimPrefix(server.URL, "amqp://guest:guest@")
	closed, err := testserver.FreePort()
	require.NoError(t, err)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { mute.Close() })
	for name, test := range map[string]struct{ url, want string }{
		"nobody there":     {fmt.Sprintf("amqp://user:%s@127.0.0.1:%d/", secret, closed), "connection refused"},
		"no answer":        {fmt.Sprintf("amqp://user:%s@%s/", secret, mute.Addr()), "had not let us in"},
		"a wrong password": {"amqp://guest:" + secret + "@" + address, "refuses user and password"},
		"no such vhost":    {"amqp://guest:guest@" + address + "nowhere", "virtual host"},
		"no such host":     {"amqp://user:" + secret + "@nowhere.invalid/", "nowhere.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			cfg := settings(test.url, "", noSettings)
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			cfg.ConnectTimeout = 4 * time.Second // RabbitMQ holds its tongue for 3 s about a wrong password
			var err error
			within(t, 15*time.Second, func() { _, err = rabbit.New(t.Context(), cfg) })
			require.ErrorContains(t, err, test.want)
			hidesSecret(t, err.Error()+log.String())
		})
	}
}

func TestNew_RefusesCertificatesInAURL(t *testing.T) {
	_, err := rabbit.New(t.Context(), settings("amqps://u:"+secret+"@localhost/?cacertfile=ca.pem", "", noSettings))
	require.ErrorContains(t, err, "use ca, cert, key and server_name")
	hidesSecret(t, err.Error())
}

func TestNew_TriesEachURL(t *testing.T) {
	closed, err := testserver.FreePort()
	require.NoError(t, err)
	cfg := settings("", prefix(), noSettings)
	cfg.URLs = []string{fmt.Sprintf("amqp://user:%s@127.0.0.1:%d/", secret, closed), shared.get(t).URL}
	require.NoError(t, migrated(t, cfg).Ping(t.Context()))
}

// The broker comes while the worker already waits for it.
func TestNew_WaitsForTheBroker(t *testing.T) {
	proxy := startProxy(t, shared.get(t).URL)
	proxy.refuse(true)
	cfg := settings(proxy.url, prefix(), noSettings)
	opened := make(chan error, 1)
	go func() {
		r, err := rabbit.New(t.Context(), cfg)
		if err == nil {
			err = r.Close()
		}
		opened <- err
	}()
	proxy.attempts(t, 3)
	proxy.refuse(false)
	require.NoError(t, <-opened)
}

// Each answer of the broker takes its time, and all together take more than
// any one of them may.
func TestNew_OnASlowLine(t *testing.T) {
	t.Parallel()
	proxy := startProxy(t, shared.get(t).URL)
	proxy.slow(time.Second)
	cfg := settings(proxy.url, prefix(), noSettings)
	r, err := rabbit.New(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, r.Close())
}

func TestMigrate_ExplainsOtherArguments(t *testing.T) {
	server := shared.get(t)
	p := prefix()
	r := open(t, settings(server.URL, p, noSettings))
	queue := p + subscription().Queue()
	ch := bare(t, server.URL)
	_, err := ch.QueueDeclare(queue, true, false, false, false, map[string]any{"x-queue-type": "quorum", "x-dead-letter-exchange": "another"})
	require.NoError(t, err)
	err = r.Migrate(t.Context(), []transport.Subscription{subscription()})
	for _, part := range []string{queue, "x-dead-letter-exchange", "''", "'another'", "delete it", "transport.prefix"} {
		require.ErrorContains(t, err, part)
	}
	_, err = ch.QueueDelete(queue, false, false, false)
	require.NoError(t, err)
	require.NoError(t, r.Migrate(t.Context(), []transport.Subscription{subscription()}))

	// The exchange, of another kind.
	p = prefix()
	require.NoError(t, ch.ExchangeDeclare(p+topic, "direct", true, false, false, false, nil))
	err = open(t, settings(server.URL, p, noSettings)).Migrate(t.Context(), []transport.Subscription{subscription()})
	for _, part := range []string{"exchange " + p + topic, "type", "'fanout'", "'direct'", "delete it"} {
		require.ErrorContains(t, err, part)
	}
}
