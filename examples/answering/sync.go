package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/failure"
	"github.com/answerfeed/answerfeed/app/outbox"
)

const (
	// callWithin bounds one call.
	callWithin = 5 * time.Second
	// maxReply is how much of a reply is read, so that its connection can be
	// used again.
	maxReply = 64 << 10
)

// caller is --mode sync: it calls each subscriber by HTTP.
type caller struct {
	client *http.Client
	urls   []string
}

func newCaller(urls []string) caller {
	return caller{urls: urls, client: &http.Client{Timeout: callWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
}

func (c caller) close() { c.client.CloseIdleConnections() }

// announce calls one subscriber after the other, while the author waits and
// the transaction is open. The first that fails is the end of the answer.
//
// It is what many sites begin with, and it has one fault more than being slow:
// whoever was called before that one has heard of an answer that is not there.
func (c caller) announce(ctx context.Context, _ *sql.Tx, topic string, e outbox.Event) error {
	payload, err := e.Encode()
	if err != nil {
		return err
	}
	for _, url := range c.urls {
		if err := c.post(ctx, url, topic, payload); err != nil {
			return fmt.Errorf("telling %s: %w: %w", url, errNotTold, err)
		}
	}
	return nil
}

// post sends an event to URL/TOPIC. Its error says whether another try may help.
func (c caller) post(ctx context.Context, url, topic string, payload []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+"/"+topic, bytes.NewReader(payload))
	if err != nil {
		return failure.Permanent("bad-url", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxReply) // of no interest
	return failure.FromHTTP(response)
}

// ping asks the subscriber at url whether it is there.
func (c caller) ping(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return failure.FromHTTP(response)
}
