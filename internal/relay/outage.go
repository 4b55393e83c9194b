package relay

import (
	"context"
	"time"
)

// While the transport is away nothing is claimed, and it is asked for an
// answer every half second: rows of an outage stay as they are, and cost
// nothing.

// lost begins an outage.
func (r *Relay) lost(err error) {
	if r.away.IsZero() {
		r.away = time.Now()
		r.pingAt = r.away.Add(pingEvery)
		r.opts.Logger.Error("the transport is away; events wait in the outbox", "error", err)
	}
}

// ping asks a transport that is away, when it is time.
func (r *Relay) ping() {
	if r.away.IsZero() || r.pinging || time.Now().Before(r.pingAt) {
		return
	}
	r.pinging = true
	go func() { r.pinged <- r.askTransport() }()
}

func (r *Relay) askTransport() error {
	ctx, cancel := context.WithTimeout(context.Background(), pingWithin)
	defer cancel()
	return r.opts.Transport.Ping(ctx)
}

// answered ends an outage, when there is no error.
func (r *Relay) answered(err error) {
	r.pinging, r.pingAt = false, time.Now().Add(pingEvery)
	if err != nil {
		return
	}
	r.opts.Logger.Info("the transport is back", "away", time.Since(r.away).Round(time.Millisecond).String())
	r.away, r.lookAt = time.Time{}, time.Time{}
	r.scan.rewind() // for what was given back
}
