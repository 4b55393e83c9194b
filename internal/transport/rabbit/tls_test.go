package rabbit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/testserver"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// folder holds PEM files: an authority's certificate, and certificates by it
// with their keys, for the broker and for a client.
type folder struct {
	path string
	port int // where the rough broker speaks TLS
}

var certificates folder

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

func (f *folder) remove() error { return os.RemoveAll(f.path) }

// make writes the files.
func (f *folder) make() (err error) {
	if f.path, err = os.MkdirTemp("", "answerfeed-certificates"); err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := f.write("ca", authority, authority, nil)
	if err != nil {
		return err
	}
	for i, name := range []string{"broker", "client"} {
		_, err := f.write(name, &x509.Certificate{
			SerialNumber: big.NewInt(int64(2 + i)), Subject: pkix.Name{CommonName: name},
			NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
			DNSNames: []string{name + ".test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, authority, key)
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) write(name string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if signer == nil {
		signer = key
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, errors.Join(
		os.WriteFile(f.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(f.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600),
	)
}

// startWithTLS starts a broker that asks those who speak TLS for a
// certificate.
func startWithTLS() (*testserver.RabbitMQ, error) {
	f := &certificates
	port, err := testserver.FreePort()
	if err != nil {
		return nil, err
	}
	if err := f.make(); err != nil {
		return nil, err
	}
	f.port = port
	return testserver.StartRabbitMQWith(context.Background(), testserver.RabbitMQOptions{Erlang: triesSoon, Lines: []string{
		fmt.Sprintf("listeners.ssl.1 = 127.0.0.1:%d", port),
		"ssl_options.cacertfile = " + f.file("ca.pem"),
		"ssl_options.certfile = " + f.file("broker.pem"),
		"ssl_options.keyfile = " + f.file("broker.key"),
		"ssl_options.verify = verify_peer",
		"ssl_options.fail_if_no_peer_cert = true",
	}})
}

func TestTLS(t *testing.T) {
	server := rough.get(t)
	url := fmt.Sprintf("amqps://guest:guest@127.0.0.1:%d/", certificates.port)
	ca, cert, key := certificates.file("ca.pem"), certificates.file("client.pem"), certificates.file("client.key")
	tests := map[string]struct {
		change func(c *rabbit.Config)
		want   string // in the error
	}{
		"both know each other":     {func(*rabbit.Config) {}, ""},
		"by the server's name":     {func(c *rabbit.Config) { c.ServerName = "broker.test" }, ""},
		"the first URL is another": {func(c *rabbit.Config) { c.URLs = []string{"amqps://guest:guest@localhost:1/", url} }, ""},
		"plain text beside it":     {func(c *rabbit.Config) { c.URLs = []string{server.URL} }, ""},
		"another server's name":    {func(c *rabbit.Config) { c.ServerName = "other.test" }, "other.test"},
		"an unknown authority":     {func(c *rabbit.Config) { c.CA = "" }, "unknown authority"},
		"no certificate":           {func(c *rabbit.Config) { c.Cert, c.Key = "", "" }, "certificate"},
		"plain text to TLS":        {func(c *rabbit.Config) { c.URLs = []string{"amqp" + url[len("amqps"):]} }, ""},
		"TLS to plain text":        {func(c *rabbit.Config) { c.URLs = []string{"amqps" + server.URL[len("amqp"):]} }, "tls: "},
		"a CA that is no file":     {func(c *rabbit.Config) { c.CA = "nowhere.pem" }, "reading ca: open nowhere.pem"},
		"a CA without certificate": {func(c *rabbit.Config) { c.CA = key }, "holds no PEM certificate"},
		"another key":              {func(c *rabbit.Config) { c.Key = certificates.file("broker.key") }, "reading cert and key"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(url, prefix(), noSettings)
			cfg.CA, cfg.Cert, cfg.Key = ca, cert, key
			cfg.ConnectTimeout = 5 * time.Second // the first try must come to its end, on a busy machine too
			test.change(&cfg)
			if test.want == "" && name != "plain text to TLS" {
				cfg.ConnectTimeout = patience
				r := migrated(t, cfg)
				require.NoError(t, r.Publisher().Publish(topic, message.NewMessage("secure", nil)))
				m := next(t, consume(t, r, 1))
				require.Equal(t, "secure", m.UUID)
				m.Ack()
				return
			}
			_, err := rabbit.New(t.Context(), cfg)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "guest:guest")
		})
	}
}
