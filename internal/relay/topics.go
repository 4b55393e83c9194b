package relay

import (
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/answerfeed/answerfeed/internal/transport"
)

// restFor is the first pause of a topic that cannot be published to, doubling
// up to maxRest, or up to maxRefusedRest when one of its queues refuses: the
// others may have each probe twice.
const restFor, maxRest, maxRefusedRest = 500 * time.Millisecond, 5 * time.Second, 2 * time.Minute

// topics remembers which topics cannot be published to: nobody listens, or
// their queue takes nothing, or too slowly. Their rows stay where they are,
// untouched, while others pass. Now and then a probe is sent: one row, then
// with each success eight times as many, until the topic is as the others.
type topics struct {
	logger *slog.Logger
	ailing map[string]*ailment
	well   []string // recovered since the last round: wake their rows
}

type ailment struct {
	since   time.Time
	until   time.Time // when it is tried again
	rest    time.Duration
	probe   int  // how many rows
	probing bool // they are on their way
}

// probeGrowth is by how much a probe grows with each success.
const probeGrowth = 8

// resting is a JSON array of the topics that are not to be claimed now.
func (t *topics) resting(now time.Time) (string, error) {
	names := []string{}
	for name, a := range t.ailing {
		if a.probing || now.Before(a.until) {
			names = append(names, name)
		}
	}
	text, err := json.Marshal(names)
	return string(text), err
}

// probe says how many of n rows of the topic may be sent.
func (t *topics) probe(topic string, n int) int {
	a := t.ailing[topic]
	if a == nil {
		return n
	}
	a.probing = true
	return min(a.probe, n)
}

// failed is told of fresh rows that could not be published.
func (t *topics) failed(topic string, err error) {
	now := time.Now()
	a := t.ailing[topic]
	switch {
	case a == nil:
		a = &ailment{since: now, rest: restFor}
		t.ailing[topic] = a
		t.logger.Error("events of a topic cannot be published; they wait in the outbox", "topic", topic, "error", err)
	case !a.probing: // sent before it was known
		return
	default:
		most := maxRest
		if errors.Is(err, transport.ErrRefused) {
			most = maxRefusedRest
		}
		a.rest = min(2*a.rest, most)
	}
	a.probe, a.probing, a.until = 1, false, now.Add(a.rest)
}

// unknown is told of rows that were sent in vain for a reason that is not the
// topic's.
func (t *topics) unknown(topic string) {
	if a := t.ailing[topic]; a != nil {
		a.probing = false
	}
}

// published is told of rows that were, and reports whether there are others
// that may be claimed now.
func (t *topics) published(topic string, fresh bool) (others bool) {
	a := t.ailing[topic]
	if a == nil {
		return false
	}
	if fresh {
		a.probing = false
	}
	a.probe, a.until = a.probe*probeGrowth, time.Time{}
	if a.probe < claimRows {
		return true
	}
	delete(t.ailing, topic)
	t.well = append(t.well, topic)
	t.logger.Info("events of a topic can be published again", "topic", topic, "after", time.Since(a.since).Round(time.Millisecond).String())
	return true
}
