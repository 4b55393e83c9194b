package relay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// row is a row of the outbox that this relay has claimed.
type row struct {
	id, size int64
	tries    int
	topic    string
	message  *message.Message
}

// parcel is what one call of Publish takes: rows of one topic that were tried
// equally often.
type parcel struct {
	topic string
	tries int
	rows  []row
}

// outcome is what became of a parcel.
type outcome struct {
	parcel
	err    error
	unsent bool // it goes back as it was: err, if any, is that the transport is away
	own    bool // err is the one row's own fault
	part   bool // others of the parcel had another outcome
}

// alone is the number of tries from which on a row is sent by itself.
const alone = 3

// together is how many rows share a parcel: the more often they were tried in
// vain, the fewer, so that one that can never be published is soon alone.
func together(tries int) int { return max(1, claimRows>>(alone*tries)) }

// setAside is the least pause of a row that cannot be published for its own
// fault: only another setting of the broker mends that.
const setAside = 30 * time.Second

// retryIn is the pause after so many tries and one more: doubling, with
// jitter, up to 5 min.
func (o outcome) retryIn() time.Duration {
	d := 500 * time.Millisecond << min(o.tries, 16)
	if o.own {
		d = max(d, setAside)
	}
	d = min(d, 5*time.Minute)
	return d + rand.N(d/4)
}

// dispatch sends what was claimed. Publishing ends at the deadline.
func (r *Relay) dispatch(rows []row, deadline time.Time) {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	type kind struct {
		topic string
		tries int
	}
	kinds := map[kind][]row{}
	for _, row := range rows {
		k := kind{row.topic, row.tries}
		kinds[k] = append(kinds[k], row)
	}
	for k, all := range kinds {
		if k.tries == 0 {
			n := r.topics.probe(k.topic, len(all))
			if unsent := all[n:]; len(unsent) > 0 {
				r.settled = append(r.settled, outcome{parcel: parcel{k.topic, 0, unsent}, unsent: true})
			}
			all = all[:n]
		}
		for chunk := range slices.Chunk(all, together(k.tries)) {
			for _, row := range chunk {
				r.bytes += row.size
			}
			r.rows += len(chunk)
			go r.send(parcel{k.topic, k.tries, chunk}, deadline)
		}
	}
}

// send publishes a parcel and reports what became of it.
func (r *Relay) send(p parcel, deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	msgs := make([]*message.Message, len(p.rows))
	for i, row := range p.rows {
		msgs[i] = row.message
		msgs[i].SetContext(ctx)
	}
	for _, o := range r.outcomesOf(p, r.opts.Transport.Publisher().Publish(p.topic, msgs...)) {
		r.outcomes <- o
	}
}

// outcomesOf divides a parcel by what became of its rows: those that are sent,
// those that are at fault themselves, and the rest.
func (r *Relay) outcomesOf(p parcel, err error) []outcome {
	var all []outcome
	sent, rest := parcel{p.topic, p.tries, nil}, parcel{p.topic, p.tries, nil}
	var why error
	for i, err := range transport.Outcomes(err, len(p.rows)) {
		it := p.rows[i]
		switch {
		case err == nil:
			sent.rows = append(sent.rows, it)
		case errors.Is(err, transport.ErrUnpublishable):
			all = append(all, outcome{parcel: parcel{p.topic, p.tries, []row{it}}, err: err, own: true})
		default:
			rest.rows, why = append(rest.rows, it), err
		}
	}
	if len(sent.rows) > 0 {
		crashpoint.At(crashpoint.Relayed)
		all = append(all, outcome{parcel: sent})
	}
	if len(rest.rows) > 0 {
		all = append(all, outcome{parcel: rest, err: why, unsent: !ofTopic(why) && r.askTransport() != nil})
	}
	for i := range all {
		all[i].part = len(all) > 1
	}
	return all
}

// ofTopic says that an error is the topic's. Of any other one asks whose fault
// it is: a transport that answers could have taken the row.
func ofTopic(err error) bool {
	return errors.Is(err, transport.ErrNoQueue) || errors.Is(err, transport.ErrRefused) || errors.Is(err, transport.ErrForbidden)
}

// take notes what became of a parcel.
func (r *Relay) take(o outcome) {
	r.rows -= len(o.rows)
	for _, row := range o.rows {
		r.bytes -= row.size
	}
	r.settled = append(r.settled, o)
	switch n := float64(len(o.rows)); {
	case o.err == nil:
		r.metrics.relayed.Add(n)
		for _, row := range o.rows {
			delete(r.told, row.id)
		}
		if !o.part && r.topics.published(o.topic, o.tries == 0) {
			r.scan.rewind()
			r.lookAt = time.Time{}
		}
	case o.unsent:
		r.topics.unknown(o.topic)
		r.lost(o.err)
	default:
		r.metrics.failed.Add(n)
		switch {
		case o.own:
			r.topics.unknown(o.topic)
			r.tell(o)
		case o.tries == 0:
			r.topics.failed(o.topic, o.err)
		case o.tries >= alone && r.topics.ailing[o.topic] == nil:
			r.tell(o)
		}
	}
}

// tell logs, once, that a row cannot be published.
func (r *Relay) tell(o outcome) {
	row := o.rows[0]
	if r.told[row.id] {
		return
	}
	r.told[row.id] = true
	r.opts.Logger.Error("an event cannot be published; it stays in the outbox, the others of its topic pass",
		"topic", o.topic, "id", row.id, "uuid", row.message.UUID, "error", o.err)
}

// maxBad is how much is kept of metadata that cannot be read.
const maxBad = 1 << 10

// newMessage never fails: metadata that no producer may send is kept as text
// under a key of its own, for the dead letter that the message will become.
func newMessage(uuid, metadata string, payload []byte) *message.Message {
	m := message.NewMessage(uuid, payload)
	if metadata == "{}" {
		return m
	}
	var read map[string]string
	err := json.Unmarshal([]byte(metadata), &read)
	if err == nil && read != nil {
		err = event.CheckMetadata(read)
	}
	if err != nil || read == nil {
		text := strings.ReplaceAll(strings.ToValidUTF8(metadata[:min(len(metadata), maxBad)], "?"), "\x00", "?")
		read = map[string]string{transport.KeyBadMetadata: text}
	}
	m.Metadata = read
	return m
}
