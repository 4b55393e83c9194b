package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/bench/effect"
)

const (
	// perSecond is the rate at which latency is measured; warm is how many
	// messages go before.
	perSecond, warm = 500, 250
	// look is how often a reader looks for what has become visible: it adds
	// half of that to the figures.
	look = 2 * time.Millisecond
	// seenWithin bounds the wait for the last message.
	seenWithin = 10 * time.Second
)

// latency measures from the moment a message was due to be published, by
// another process than the worker, to the moment a reader of the database
// sees its effect.
func (b *bench) latency(ctx context.Context, name, transport string) (err error) {
	p, remove, err := b.place(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	syscall.Sync() // what the measurement before it left to be written
	j, client := b.job(transport, p), b.client
	if transport == onSQL {
		if client, err = openClient(ctx, j); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
	}
	worker, err := launch(ctx, j, func() {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.stop()) }()
	if err := worker.start(); err != nil {
		return err
	}
	db, err := database.Open(ctx, database.Config{Driver: p.driver, DSN: p.byKey()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	n := warm + b.Seconds*perSecond
	msgs, err := messages(ctx, 0, n)
	if err != nil {
		return err
	}
	began := time.Now()
	due := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second / perSecond) }
	errs := make([]error, n)
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i, m := range msgs {
			<-time.After(time.Until(due(i)))
			publishing.Go(func() { errs[i] = client.Publisher().Publish(event.TopicAnswerAdded, m) })
		}
	})
	seen, err := watch(ctx, db, n, due(n).Add(seenWithin))
	publishing.Wait()
	if i := slices.IndexFunc(errs, func(e error) bool { return e != nil }); i >= 0 {
		err = errors.Join(err, errs[i]) // the others say the same
	}
	if err != nil {
		return err
	}
	lags := make([]time.Duration, 0, n)
	for i := warm; i < n; i++ {
		lags = append(lags, seen[i].Sub(due(i)))
	}
	slices.Sort(lags)
	for _, p := range []int{50, 99} {
		b.add(fmt.Sprintf("%s-p%d", name, p), float64(lags[len(lags)*p/100].Microseconds())/1000)
	}
	return nil
}

// watch returns when each of n answers was seen first.
func watch(ctx context.Context, db *database.DB, n int, until time.Time) ([]time.Time, error) {
	seen := make([]time.Time, n)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for oldest := 0; oldest < n; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		ids, err := effect.Since(ctx, db, answerID(oldest))
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if now.After(until) {
			return nil, fmt.Errorf("answer %d of %d was not seen in time", oldest, n)
		}
		for _, id := range ids {
			var i int
			if _, err := fmt.Sscanf(id, "a%d", &i); err != nil || i >= n {
				return nil, fmt.Errorf("an answer that nobody published: %s", id)
			}
			if seen[i].IsZero() {
				seen[i] = now
			}
		}
		for oldest < n && !seen[oldest].IsZero() {
			oldest++
		}
	}
	return seen, nil
}
