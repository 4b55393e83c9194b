package transporttest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
)

func content() []row {
	return []row{
		{"payloads come byte for byte", false, payloads},
		{"metadata of any text comes as it was", false, metadata},
		{"the UUID is kept, whatever it is", false, uuids},
		{"a published message may be changed after an error", false, changedAfter},
		{"a message that cannot be published stops no other", false, refusedAmongOthers},
	}
}

func payloads(s *stage) {
	random := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(random) //nolint:errcheck // never fails
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	want := map[string][]byte{
		"nil":           nil,
		"empty":         {},
		"zero":          {0},
		"every byte":    every,
		"invalid UTF-8": {0xff, 0xfe, 0xc3, 0x28},
		"JSON":          []byte(`{"a":"ü\u0000"}`),
		"JSON, broken":  []byte(`{"a":`),
		"quotes":        []byte(`'"` + "`; DROP TABLE queue_messages; --"),
		"mark first":    []byte("\ufeff{}"),
		"1 MiB, random": random,
		"1 MiB, zeros":  make([]byte, 1<<20),
	}
	s.roundTrip(func(name string) *message.Message {
		return message.NewMessage(name, want[name])
	}, keys(want), func(m *message.Message) {
		require.True(s, bytes.Equal(want[m.UUID], m.Payload), "%s: %d bytes became %d", m.UUID, len(want[m.UUID]), len(m.Payload))
		require.Empty(s, m.Metadata)
	})
}

func metadata(s *stage) {
	want := map[string]message.Metadata{
		"nil":         nil,
		"empty":       {},
		"empty value": {"a": "", "b": ""},
		"empty key":   {"": "x"},
		"unicode":     {"grüße": "Ωμέγα 数学 🙂", "e\u0301": "\u00e9", "rtl": "\u202e"},
		"control":     {"lines": "a\nb\r\nc\td", "others": "\x01\x1b\x7f", "separators": "\u2028\u2029"},
		"quotes":      {`a"b'c`: `\"'; DROP TABLE x; --`, "html": "<&>", "json": `{"a":[null]}`},
		"long":        {"long": strings.Repeat("ü", 8<<10)},
		"the keys":    {transport.KeyCorrelationID: "c", transport.KeyTraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", transport.KeyRedeliveries: "3"},
	}
	s.roundTrip(func(name string) *message.Message {
		m := message.NewMessage(name, []byte("{}"))
		m.Metadata = want[name]
		return m
	}, keys(want), func(m *message.Message) {
		require.NotNil(s, m.Metadata, "middleware writes to it")
		require.Len(s, m.Metadata, len(want[m.UUID]), m.UUID)
		for key, value := range want[m.UUID] {
			require.Equal(s, value, m.Metadata[key], m.UUID)
		}
	})
}

func uuids(s *stage) {
	want := []string{watermill.NewUUID(), watermill.NewULID(), "", "no UUID at all", "ünïcode '\"\n", strings.Repeat("long", 60)}
	var got []string
	s.roundTrip(func(id string) *message.Message {
		return message.NewMessage(id, []byte("{}"))
	}, want, func(m *message.Message) { got = append(got, m.UUID) })
	require.ElementsMatch(s, want, got)
}

// changedAfter needs the race detector to fail.
func changedAfter(s *stage) {
	t := s.open(Settings{})
	m := message.NewMessage("changed", []byte("{}"))
	for range 200 {
		ctx, cancel := context.WithCancel(s.Context())
		m.SetContext(ctx)
		time.AfterFunc(time.Duration(rand.IntN(500))*time.Microsecond, cancel)
		if err := t.Publisher().Publish(topic, m); err != nil {
			require.ErrorIs(s, err, context.Canceled)
		}
		m.Metadata.Set("changed", "by its owner")
		cancel()
	}
}

// refusedAmongOthers has messages that one transport or another cannot take.
func refusedAmongOthers(s *stage) {
	t := s.open(Settings{})
	odd := func(metadata map[string]string) *message.Message {
		m := message.NewMessage("", nil)
		m.Metadata = metadata
		return m
	}
	msgs := []*message.Message{
		message.NewMessage("first", nil),
		odd(map[string]string{"long": strings.Repeat("x", 200<<10)}),
		odd(map[string]string{strings.Repeat("k", 300): "x"}),
		message.NewMessage("NUL \x00 in the UUID", nil),
		message.NewMessage("in between", nil),
		message.NewMessage("not \xff UTF-8", nil),
		message.NewMessage("last", nil),
	}
	for i, m := range msgs {
		m.Payload = []byte{byte('0' + i)}
	}
	err := t.Publisher().Publish(topic, msgs...)
	var want []string
	for i, err := range transport.Outcomes(err, len(msgs)) {
		if err == nil {
			want = append(want, string(msgs[i].Payload))
			continue
		}
		require.ErrorIs(s, err, transport.ErrUnpublishable)
	}
	require.Subset(s, want, []string{"0", "4", "6"})
	c := s.consume(t, window(len(msgs)))
	var got []string
	for _, m := range c.take(len(want)) {
		got = append(got, string(m.Payload))
		m.Ack()
	}
	require.ElementsMatch(s, want, got)
	s.settles(t, transport.Backlog{})
}

// roundTrip publishes a message for each name, in one call, and checks each
// as it comes.
func (s *stage) roundTrip(make func(name string) *message.Message, names []string, check func(m *message.Message)) {
	s.Helper()
	t := s.open(Settings{})
	var msgs []*message.Message
	for _, name := range names {
		msgs = append(msgs, make(name))
	}
	require.NoError(s, t.Publisher().Publish(topic, msgs...))
	c := s.consume(t, window(len(names)))
	got := c.take(len(names))
	if msgs[0].UUID != msgs[1].UUID {
		require.ElementsMatch(s, names, ids(got))
	}
	for _, m := range got {
		check(m)
		m.Ack()
	}
	s.settles(t, transport.Backlog{})
}

func keys[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}
