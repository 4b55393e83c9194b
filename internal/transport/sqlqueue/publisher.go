package sqlqueue

import (
	"context"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/transport"
)

// publishBatch is how many Publish calls share one commit.
const publishBatch = 512

// Schema is watermill-sql's SchemaAdapter over the queue table, for its
// Publisher: that may be built on a transaction of the caller's, so that
// messages are published when, and only when, it commits; who commits calls
// [database.DB.Notify], so that consumers of the process look at once.
// Publishing to a topic without a queue violates a NOT NULL constraint.
type Schema struct {
	db      *database.DB
	queries queries
}

var _ wsql.SchemaAdapter = (*Schema)(nil)

// NewSchema returns the adapter for the tables with this prefix.
func NewSchema(db *database.DB, prefix string) *Schema {
	return &Schema{db: db, queries: newQueries(db, prefix)}
}

// InsertQuery inserts a row for each message and each queue of the topic, or
// for the one queue that is named in place of a topic.
func (s *Schema) InsertQuery(topic string, msgs message.Messages) (wsql.Query, error) {
	query := s.queries.fanOut
	if transport.IsQueue(topic) {
		query = s.queries.direct
	}
	uuids, metadata, payloads := make([]string, len(msgs)), make([]string, len(msgs)), make([][]byte, len(msgs))
	for i, m := range msgs {
		if err := s.check(m); err != nil {
			return wsql.Query{}, err
		}
		text, err := encodeMetadata(m.Metadata)
		if err != nil {
			return wsql.Query{}, err
		}
		uuids[i], metadata[i], payloads[i] = m.UUID, text, m.Payload
		if m.Payload == nil { // which would be NULL
			payloads[i] = []byte{}
		}
	}
	args, rows := s.queries.rows(uuids, metadata, payloads)
	args = append(args, topic)
	query = strings.NewReplacer("%rows%", rows, "%topic%", "$"+strconv.Itoa(len(args))).Replace(query)
	return wsql.Query{Query: s.db.SQL(query), Args: args}, nil
}

// check refuses what the database cannot hold. Metadata is JSON, in which NUL
// is escaped and what is no UTF-8 replaced.
func (s *Schema) check(m *message.Message) error {
	if s.db.Driver() == database.Postgres && (strings.ContainsRune(m.UUID, 0) || !utf8.ValidString(m.UUID)) {
		return fmt.Errorf("%w: its UUID has a NUL byte or is not UTF-8, which PostgreSQL cannot store", transport.ErrUnpublishable)
	}
	return nil
}

// SelectQuery is for watermill-sql's subscriber, which this table is not for.
func (s *Schema) SelectQuery(string, string, wsql.OffsetsAdapter) wsql.Query { return wsql.Query{} }

// UnmarshalMessage is for watermill-sql's subscriber, which this table is not
// for.
func (s *Schema) UnmarshalMessage(wsql.Scanner) (wsql.Row, error) {
	return wsql.Row{}, errors.New("the queue table is read by its own subscriber")
}

// SchemaInitializingQueries is empty: the tables come with Transport.Migrate.
func (s *Schema) SchemaInitializingQueries(string) []wsql.Query { return nil }

// SubscribeIsolationLevel is for watermill-sql's subscriber.
func (s *Schema) SubscribeIsolationLevel() stdsql.IsolationLevel { return stdsql.LevelDefault }

// publisher shares commits between concurrent Publish calls.
type publisher struct {
	db     *database.DB
	schema *Schema
	batch  *database.Batcher[*publication]
}

// publication is one call of Publish.
type publication struct {
	topic string
	msgs  message.Messages
	// noQueue says that nobody listens to the topic. It is no error of the
	// batch, in which others published too.
	noQueue bool
}

func newPublisher(db *database.DB, schema *Schema) *publisher {
	p := &publisher{db: db, schema: schema}
	p.batch = database.NewGroup(publishBatch, p.commit)
	return p
}

// Publish returns when the messages are committed and flushed.
func (p *publisher) Publish(topic string, msgs ...*message.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	// Copies: when the context ends first, the batch is still at work.
	call := &publication{topic: topic, msgs: make(message.Messages, 0, len(msgs))}
	var failed []transport.Unpublished
	for i, m := range msgs {
		if err := p.schema.check(m); err != nil { // alone, and not with the others
			failed = append(failed, transport.Unpublished{Index: i, Err: err})
			continue
		}
		call.msgs = append(call.msgs, &message.Message{UUID: m.UUID, Metadata: maps.Clone(m.Metadata), Payload: m.Payload})
	}
	var err error
	if len(call.msgs) > 0 {
		err = p.commitWithOthers(msgs[0].Context(), call)
	}
	if err == nil && len(failed) > 0 {
		err = &transport.PublishError{Unpublished: failed, Total: len(msgs)}
	}
	if err != nil {
		return fmt.Errorf("publishing %d messages to %s: %w", len(msgs), topic, err)
	}
	return nil
}

func (p *publisher) commitWithOthers(ctx context.Context, call *publication) error {
	err := p.batch.Do(ctx, call)
	switch {
	case errors.Is(err, database.ErrClosed):
		return transport.ErrClosed
	case err != nil:
		return err
	case call.noQueue:
		return transport.ErrNoQueue
	}
	p.db.Notify()
	return nil
}

// Close does nothing: the transport closes its publisher.
func (p *publisher) Close() error { return nil }

// commit publishes all of the batch, or nothing.
func (p *publisher) commit(ctx context.Context, batch []*publication) (refused bool, err error) {
	if topic, msgs, ok := p.oneStatement(batch); ok {
		if err = publishOn(ctx, p.db.Alone(), p.schema, topic, msgs); isNoQueue(err) {
			for _, call := range batch {
				call.noQueue = true
			}
			return false, nil
		}
		return err != nil, err
	}
	err = p.db.Update(ctx, database.Durable, func(ctx context.Context, tx *stdsql.Tx) error {
		err := p.insert(ctx, tx, batch)
		refused = err != nil
		return err
	})
	return refused, err
}

// oneStatement is what most batches on PostgreSQL are: some messages of one
// topic, which need no transaction around the statement. On SQLite it would
// not wait for the lock as [database.DB.Update] does.
func (p *publisher) oneStatement(batch []*publication) (topic string, msgs message.Messages, ok bool) {
	if p.db.Driver() != database.Postgres {
		return "", nil, false
	}
	topic = batch[0].topic
	for _, call := range batch {
		if call.topic != topic {
			return "", nil, false
		}
		msgs = append(msgs, call.msgs...)
	}
	return topic, msgs, len(msgs) <= p.schema.queries.insertRows
}

// publishOn publishes through watermill-sql's Publisher: a new one each time,
// as its package intends.
func publishOn(ctx context.Context, db executor, schema *Schema, topic string, msgs message.Messages) error {
	pub, err := wsql.NewPublisher(within{db, ctx}, wsql.PublisherConfig{SchemaAdapter: schema}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("making a publisher: %w", err)
	}
	for chunk := range slices.Chunk(msgs, schema.queries.insertRows) {
		if err := pub.Publish(topic, chunk...); err != nil {
			return err
		}
	}
	return nil
}

func isNoQueue(err error) bool {
	return database.NotNull(err) || errors.Is(err, wsql.ErrInvalidTopicName)
}

// insert publishes what belongs to one topic together.
func (p *publisher) insert(ctx context.Context, tx *stdsql.Tx, batch []*publication) error {
	byTopic := map[string][]*publication{}
	for _, call := range batch {
		byTopic[call.topic] = append(byTopic[call.topic], call)
	}
	for topic, calls := range byTopic {
		var msgs message.Messages
		for _, call := range calls {
			call.noQueue = false
			msgs = append(msgs, call.msgs...)
		}
		undo, err := p.savepoint(ctx, tx)
		if err != nil {
			return err
		}
		err = publishOn(ctx, tx, p.schema, topic, msgs)
		if isNoQueue(err) {
			if err := undo(); err != nil {
				return err
			}
			for _, call := range calls {
				call.noQueue = true
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// savepoint lets a statement fail without the others of its transaction. On
// SQLite every statement does.
func (p *publisher) savepoint(ctx context.Context, tx *stdsql.Tx) (undo func() error, err error) {
	if p.db.Driver() != database.Postgres {
		return func() error { return nil }, nil
	}
	if _, err := tx.ExecContext(ctx, `SAVEPOINT topic`); err != nil {
		return nil, fmt.Errorf("setting a savepoint: %w", err)
	}
	return func() error {
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT topic; RELEASE SAVEPOINT topic`); err != nil {
			return fmt.Errorf("going back to a savepoint: %w", err)
		}
		return nil
	}, nil
}

// executor is a transaction, or a pool.
type executor = wsql.ContextExecutor

// within is an executor whose statements end with ctx: watermill-sql's
// Publisher gives them none of its own.
type within struct {
	executor
	ctx context.Context
}

func (w within) ExecContext(_ context.Context, query string, args ...any) (stdsql.Result, error) {
	return w.executor.ExecContext(w.ctx, query, args...)
}

func encodeMetadata(m message.Metadata) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encoding metadata: %w", err)
	}
	return string(b), nil
}

// decodeMetadata never fails: what is no object of strings is kept as text
// under a key of its own, for the dead letter.
func decodeMetadata(text string) message.Metadata {
	m := message.Metadata{}
	if text == "{}" {
		return m
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil || m == nil {
		return message.Metadata{transport.KeyBadMetadata: text}
	}
	return m
}
