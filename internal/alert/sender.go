package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/answerfeed/answerfeed/app/failure"
)

const (
	// requestWithin bounds one request.
	requestWithin = 10 * time.Second
	// tries at one alert, with these pauses between them; the next look for
	// news tries again.
	tries      = 3
	firstPause = time.Second
	// maxPause bounds what a service may ask for.
	maxPause = 30 * time.Second
)

// errPrivate: the URL leads to where it must not.
var errPrivate = errors.New("the address is private, and private addresses are not allowed")

// sender posts alerts.
type sender struct {
	url    string
	client *http.Client
	pause  time.Duration
}

func newSender(cfg Config) *sender {
	dialer := &net.Dialer{Timeout: requestWithin}
	if !cfg.AllowPrivate {
		// Asked of the very address that is about to be connected to: a name
		// may lead elsewhere at each look.
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			if to, err := netip.ParseAddrPort(address); err != nil || !public(to.Addr()) {
				return errPrivate
			}
			return nil
		}
	}
	return &sender{url: cfg.URL, pause: firstPause, client: &http.Client{
		Timeout: requestWithin,
		// No proxy either: it would connect where this program must not.
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: requestWithin},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// public reports an address of the internet at large.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, block := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "2001:db8::/32", // they lead to addresses of version 4, or nowhere
	} {
		if netip.MustParsePrefix(block).Contains(a) {
			return false
		}
	}
	return true
}

// send posts a body, and tries again what may heal. Its error holds nothing of
// the URL, which is often a secret.
func (s *sender) send(ctx context.Context, body []byte) error {
	pause := s.pause
	for n := 1; ; n++ {
		err := s.post(ctx, body)
		if err == nil {
			return nil
		}
		verdict := failure.Classify(err)
		if verdict.Kind != failure.KindTransient || n == tries {
			return err
		}
		t := time.NewTimer(min(max(pause, verdict.RetryAfter), maxPause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return errors.Join(ctx.Err(), err)
		}
		pause *= 2
	}
}

func (s *sender) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the alert's URL cannot be used")
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) {
			err = about.Err // without the URL
		}
		return fmt.Errorf("posting the alert: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10) // of no interest
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return fmt.Errorf("posting the alert: the service answered %d: redirects are not followed", response.StatusCode)
	}
	return failure.FromHTTP(response)
}
