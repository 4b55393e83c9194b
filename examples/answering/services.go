package main

import (
	"context"
	"fmt"
	"time"
)

// service is a subscriber at an address.
type service struct {
	*subscriber
	server *server
}

// services are those of one case, the feed as the last.
type services []*service

func startServices(n int, end *ending) (all services, err error) {
	for range n {
		s := &service{subscriber: newSubscriber(0)}
		if s.server, err = listen("127.0.0.1:0", s.subscriber); err != nil {
			return nil, err
		}
		end.then(func() error { return s.server.kill() })
		all = append(all, s)
	}
	return all, nil
}

func (all services) urls() []string {
	var urls []string
	for _, s := range all {
		urls = append(urls, s.server.url())
	}
	return urls
}

func (all services) feed() *service { return all[len(all)-1] }

// trouble begins what the case is about.
func (all services) trouble(c scenario) error {
	for _, s := range all[len(all)-c.Slow:] {
		s.slow(c.Delay)
	}
	if c.Down {
		return all.feed().server.kill()
	}
	return nil
}

// heal brings the feed back, at the address that it had.
func (all services) heal() (err error) {
	feed := all.feed()
	if !feed.server.killed {
		return nil
	}
	feed.server, err = listen(feed.server.address, feed.subscriber)
	return err
}

// caughtUp waits until every service has what was accepted, and returns how long
// that took. In sync mode there is nothing to wait for.
func (all services) caughtUp(ctx context.Context, mode string, accepted map[string]bool) (time.Duration, error) {
	began := time.Now()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for mode == modeAsync {
		missing, _ := all.compare(accepted)
		if missing == 0 {
			break
		}
		if time.Since(began) > patience {
			return 0, fmt.Errorf("after %v a service still has not heard of %d answers", patience, missing)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return time.Since(began), nil
}

// compare returns how many accepted answers a service has not heard of, and of
// how many one has heard that were not accepted.
func (all services) compare(accepted map[string]bool) (missing, ghosts int) {
	for _, s := range all {
		of, others := s.has(accepted)
		missing, ghosts = max(missing, len(accepted)-of), max(ghosts, others)
	}
	return missing, ghosts
}
