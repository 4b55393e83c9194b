package deadletter

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
	wmiddleware "github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// Requeue sends dead letters back, each to the queue of its own handler, with
// attempts and delays counted from the beginning. It publishes first and marks
// then, a hundred at a time: when it is cut short, by whatever, nothing is
// lost; done again it goes on where it was, and sends at most that hundred
// twice.
//
// A letter that was repaired is sent with the repaired payload. What fails
// again is a new letter.
func (d *Desk) Requeue(ctx context.Context, s Selection, o Options) (Result, error) {
	return d.requeue(ctx, s, o, "")
}

// Repair is Requeue of one letter with another payload. The letter keeps its
// own beside it. Its errors are [ErrNotFound], [ErrState], an *event.Error for
// a payload that breaks the contract of its topic, or the database's or
// transport's.
func (d *Desk) Repair(ctx context.Context, id string, payload []byte, o Options) (Result, error) {
	l, err := get(ctx, d.db, id)
	if err != nil {
		return Result{}, err
	}
	if l.State != Dead {
		return Result{}, fmt.Errorf("%w: letter %s is %s", ErrState, id, l.State)
	}
	if err := acceptable(l.Topic, payload); err != nil {
		return Result{}, err
	}
	if !o.DryRun {
		err := d.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, d.db.SQL(`UPDATE dead_letters SET repaired = $1 WHERE id = $2 AND state = $3`),
				append([]byte{}, payload...), id, string(Dead))
			return err
		})
		if err != nil {
			return Result{}, fmt.Errorf("storing the repaired payload: %w", err)
		}
	}
	return d.requeue(ctx, Selection{IDs: []string{id}}, o, fmt.Sprintf(", repaired, %d bytes", len(payload)))
}

// acceptable holds a payload to the contract of its topic. Of the topics of
// other programs no more is known than how large a payload may be.
func acceptable(topic string, payload []byte) error {
	if len(payload) == 0 {
		return &event.Error{Reason: event.ReasonMalformed, Problem: "empty"}
	}
	switch topic {
	case event.TopicQuestionAdded, event.TopicAnswerAdded, event.TopicAnswerRemoved:
		return event.Validate(topic, payload)
	}
	if len(payload) > event.MaxPayload {
		return &event.Error{Reason: event.ReasonTooLarge, Problem: fmt.Sprintf("larger than %d bytes", event.MaxPayload)}
	}
	return nil
}

func (d *Desk) requeue(ctx context.Context, s Selection, o Options, note string) (Result, error) {
	if d.pub == nil {
		return Result{}, errors.New("this desk has no publisher, and can requeue nothing")
	}
	w := work{action: "requeue", from: Dead, to: Requeued, sel: s, note: note, Options: o}
	sending := sender{desk: d}
	w.do = func(ctx context.Context, a *act, batch []*Letter, refuse func(string, error)) ([]string, error) {
		ids := make([]string, len(batch))
		for i, l := range batch {
			ids[i] = l.ID
		}
		letters, err := load(ctx, d.db, ids)
		if err != nil {
			return nil, err
		}
		letters = slices.DeleteFunc(letters, func(l *Letter) bool { return l.State != Dead }) // another desk was here
		sent, err := sending.send(ctx, letters, refuse)
		crashpoint.At(crashpoint.Requeued)
		// What is sent is marked, also when the desk is told to stop.
		moved, markErr := d.move(context.WithoutCancel(ctx), a, sent, Requeued)
		return moved, errors.Join(err, markErr)
	}
	return d.run(ctx, w)
}

// sender publishes the letters of one act.
type sender struct {
	desk *Desk
	// failed says that the last message did not get through, although it was
	// alone: it may be its own fault, but not that of the next one, too.
	failed bool
}

// send publishes letters and returns the ids of those that are safe in their
// queues. Its error means that the transport cannot be used.
func (s *sender) send(ctx context.Context, letters []*Letter, refuse func(string, error)) (sent []string, err error) {
	queues := map[string][]*Letter{}
	for _, l := range letters {
		name := transport.Subscription{Topic: l.Topic, Handler: l.Handler}.Queue()
		queues[name] = append(queues[name], l)
	}
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		letters := queues[name]
		slices.SortFunc(letters, func(a, b *Letter) int { return cmp.Compare(a.ID, b.ID) })
		err := s.desk.publish(ctx, name, letters...)
		var unsure []*Letter
		for i, err := range transport.Outcomes(err, len(letters)) {
			l := letters[i]
			switch {
			case err == nil:
				sent, s.failed = append(sent, l.ID), false
			case errors.Is(err, transport.ErrNoQueue):
				refuse(l.ID, fmt.Errorf("%w to %s: the handler is no longer there", transport.ErrNoQueue, name))
			case errors.Is(err, transport.ErrUnpublishable), errors.Is(err, transport.ErrRefused):
				refuse(l.ID, err)
			default:
				unsure = append(unsure, l)
			}
		}
		more, err := s.singly(ctx, name, unsure, refuse)
		sent = append(sent, more...)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// singly finds out whether a message is at fault, such as one whose metadata
// the broker cannot take: if so it alone is refused.
func (s *sender) singly(ctx context.Context, name string, letters []*Letter, refuse func(string, error)) (sent []string, err error) {
	for _, l := range letters {
		err := s.desk.publish(ctx, name, l)
		switch {
		case err == nil:
			sent, s.failed = append(sent, l.ID), false
		case s.failed || ctx.Err() != nil:
			return sent, fmt.Errorf("requeuing: %w", err)
		default:
			s.failed = true
			refuse(l.ID, err)
		}
	}
	return sent, nil
}

func (d *Desk) publish(ctx context.Context, queue string, letters ...*Letter) error {
	msgs := make([]*message.Message, len(letters))
	for i, l := range letters {
		msgs[i] = l.message()
		msgs[i].SetContext(ctx)
	}
	return d.pub.Publish(queue, msgs...)
}

// message is what a letter is sent back as: the message that it was, without
// what its failure left in the metadata.
func (l *Letter) message() *message.Message {
	payload := l.Payload
	if l.Repaired != nil {
		payload = l.Repaired
	}
	uuid := l.UUID
	if event.Identity(payload, uuid) != l.Identity {
		uuid = l.Identity // it stays the same message, whatever made it one
	}
	m := message.NewMessage(uuid, payload)
	m.Metadata = l.freshMetadata()
	return m
}

// freshMetadata is the letter's without the marks of failure, and with one
// requeue more.
func (l *Letter) freshMetadata() message.Metadata {
	metadata := message.Metadata{}
	maps.Copy(metadata, l.Metadata)
	for _, key := range []string{
		wmiddleware.ReasonForPoisonedKey, wmiddleware.PoisonedTopicKey, wmiddleware.PoisonedHandlerKey, wmiddleware.PoisonedSubscriberKey,
		transport.KeyAttempts, transport.KeyRedeliveries, transport.KeyFirstFailedAt, transport.KeyLastFailedAt,
		transport.KeyError, transport.KeyBadMetadata, transport.KeyReturns,
	} {
		delete(metadata, key)
	}
	metadata.Set(transport.KeyCorrelationID, l.CorrelationID)
	metadata.Set(transport.KeyRequeues, fmt.Sprint(l.Requeues+1))
	return metadata
}
