package rabbit_test

import (
	"math"
	"strings"
	"testing"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/rabbit"
)

// odd are headers of every type that AMQP has, and the text that each becomes.
var odd = map[string]struct {
	value any
	text  string
}{
	"nil":           {nil, ""},
	"text":          {"ü", "ü"},
	"bytes":         {[]byte("ü"), "ü"},
	"no text":       {[]byte{0xff, 'a'}, "/2E="},
	"text with NUL": {"a\x00", "YQA="},
	"true":          {true, "true"},
	"int8":          {int8(-8), "-8"},
	"byte":          {byte(200), "200"},
	"int16":         {int16(-16), "-16"},
	"int32":         {int32(-32), "-32"},
	"int64":         {int64(math.MinInt64), "-9223372036854775808"},
	"int":           {int(7), "7"},
	"float32":       {float32(0.5), "0.5"},
	"float64":       {1e300, "1e+300"},
	"infinity":      {math.Inf(1), "+Inf"},
	"time":          {time.Unix(1_700_000_000, 0), "2023-11-14T22:13:20Z"},
	"decimal":       {amqp.Decimal{Scale: 2, Value: -314}, "-314e-2"},
	"table":         {amqp.Table{"b": amqp.Table{"c": int32(1)}, "a": nil}, `{"a":null,"b":{"c":1}}`},
	"array":         {[]any{"x", int64(1), []byte("y"), true, []any{}, amqp.Table{}}, `["x",1,"eQ==",true,[],{}]`},
	"not a number":  {[]any{math.NaN()}, `["NaN"]`},
	"empty table":   {amqp.Table{}, "{}"},
	"time in table": {amqp.Table{"t": time.Unix(0, 0).UTC()}, `{"t":"1970-01-01T00:00:00Z"}`},
}

// delivery is one as amqp091 hands it out.
func delivery(headers amqp.Table) amqp.Delivery {
	return amqp.Delivery{Acknowledger: &amqp.Channel{}, Headers: headers, Body: []byte("{}")}
}

func oddHeaders() amqp.Table {
	headers := amqp.Table{}
	for key, h := range odd {
		headers[key] = h.value
	}
	return headers
}

func TestMarshaler_HeadersOfEveryType(t *testing.T) {
	m, err := rabbit.Marshaler{}.Unmarshal(delivery(oddHeaders()))
	require.NoError(t, err)
	require.Len(t, m.Metadata, len(odd))
	for key, h := range odd {
		require.Equal(t, h.text, m.Metadata[key], key)
		_, err := wamqp.DefaultMarshaler{}.Unmarshal(delivery(amqp.Table{"_watermill_message_uuid": "u", key: h.value}))
		if _, isText := h.value.(string); !isText {
			require.Error(t, err, "the stock marshaler reads %s, too", key)
		}
	}
}

func TestMarshaler_UUID(t *testing.T) {
	long := strings.Repeat("u", 2000)
	for name, test := range map[string]struct {
		d    amqp.Delivery
		want string
	}{
		"Watermill's header":      {amqp.Delivery{Headers: amqp.Table{"_watermill_message_uuid": "u"}, MessageId: "m"}, "u"},
		"the property":            {amqp.Delivery{MessageId: "m"}, "m"},
		"an empty header":         {amqp.Delivery{Headers: amqp.Table{"_watermill_message_uuid": ""}, MessageId: "m"}, "m"},
		"a header that is no one": {amqp.Delivery{Headers: amqp.Table{"_watermill_message_uuid": int32(1)}}, ""},
		"one that is too long":    {amqp.Delivery{Headers: amqp.Table{"_watermill_message_uuid": long}, MessageId: "m"}, "m"},
		"none":                    {amqp.Delivery{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.d.Acknowledger = &amqp.Channel{}
			m, err := rabbit.Marshaler{}.Unmarshal(test.d)
			require.NoError(t, err)
			require.Equal(t, test.want, m.UUID)
			require.Empty(t, m.Metadata)
		})
	}
	_, err := rabbit.Marshaler{}.Unmarshal(amqp.Delivery{})
	require.Error(t, err, "a ghost")
}

func TestMarshaler_CorrelationID(t *testing.T) {
	d := delivery(nil)
	d.CorrelationId = "property"
	m, err := rabbit.Marshaler{}.Unmarshal(d)
	require.NoError(t, err)
	require.Equal(t, message.Metadata{transport.KeyCorrelationID: "property"}, m.Metadata)
	p, err := rabbit.Marshaler{}.Marshal(m)
	require.NoError(t, err)
	require.Equal(t, "property", p.CorrelationId)

	d.Headers = amqp.Table{transport.KeyCorrelationID: "header"}
	m, err = rabbit.Marshaler{}.Unmarshal(d)
	require.NoError(t, err)
	require.Equal(t, "header", m.Metadata.Get(transport.KeyCorrelationID))
}

func TestMarshaler_TheBrokersHeadersAreNotMetadata(t *testing.T) {
	reserved := amqp.Table{"x-death": []any{amqp.Table{"count": int64(1)}}, "x-delivery-count": int64(2), "x-mine": "x", "CC": []any{"q"}, "BCC": []any{"q"}}
	m, err := rabbit.Marshaler{}.Unmarshal(delivery(reserved))
	require.NoError(t, err)
	require.Empty(t, m.Metadata)
	for key := range reserved {
		m.Metadata.Set(key, "by a handler")
	}
	m.Metadata.Set("X-Mine", "kept")
	p, err := rabbit.Marshaler{}.Marshal(m)
	require.NoError(t, err)
	require.Equal(t, amqp.Table{"_watermill_message_uuid": "", "X-Mine": "kept"}, p.Headers)
}

func TestMarshaler_StockReadsIt(t *testing.T) {
	m := message.NewMessage("u", []byte("x"))
	m.Metadata.Set("a", "b")
	p, err := rabbit.Marshaler{}.Marshal(m)
	require.NoError(t, err)
	require.Equal(t, amqp.Persistent, p.DeliveryMode)
	require.Equal(t, "u", p.MessageId)
	got, err := wamqp.DefaultMarshaler{}.Unmarshal(amqp.Delivery{Headers: p.Headers, Body: p.Body})
	require.NoError(t, err)
	require.True(t, m.Equals(got))
	p, err = wamqp.DefaultMarshaler{}.Marshal(m)
	require.NoError(t, err)
	d := delivery(p.Headers)
	d.Body = p.Body
	got, err = rabbit.Marshaler{}.Unmarshal(d)
	require.NoError(t, err)
	require.True(t, m.Equals(got))
}

func TestMarshaler_Limits(t *testing.T) {
	many := message.Metadata{}
	for i := range 12_000 {
		many[strings.Repeat("k", 1+i%3)+string(rune('a'+i%26))+time.Duration(i).String()] = ""
	}
	for name, m := range map[string]*message.Message{
		"a long key":      {Metadata: message.Metadata{strings.Repeat("k", 256): ""}},
		"a long value":    {Metadata: message.Metadata{"k": strings.Repeat("v", 100<<10)}},
		"many short keys": {Metadata: many},
		"a long UUID":     {UUID: strings.Repeat("u", 100<<10)},
		"a long payload":  {Payload: make([]byte, 128<<20+1)},
	} {
		_, err := rabbit.Marshaler{}.Marshal(m)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "vvv", "no value is told")
	}
	m := message.NewMessage(strings.Repeat("u", 256), nil)
	m.Metadata.Set(transport.KeyCorrelationID, strings.Repeat("c", 256))
	p, err := rabbit.Marshaler{}.Marshal(m)
	require.NoError(t, err)
	require.Empty(t, p.MessageId)
	require.Empty(t, p.CorrelationId)
}

// What another program crammed into the headers can still be published again.
func TestMarshaler_ForeignHeadersAreCut(t *testing.T) {
	m, err := rabbit.Marshaler{}.Unmarshal(delivery(amqp.Table{
		"a": "kept", "b": strings.Repeat("b", 60<<10), "c": amqp.Table{"d": make([]byte, 50<<10)}, "e": "kept, too",
	}))
	require.NoError(t, err)
	require.Equal(t, "kept", m.Metadata["a"])
	require.Equal(t, "kept, too", m.Metadata["e"])
	require.NotContains(t, m.Metadata, "c")
	require.Equal(t, `1 headers are too long to be kept; the first is "c"`, m.Metadata[transport.KeyBadMetadata])
	m.Metadata.Set(transport.KeyError, strings.Repeat("e", 30<<10))
	_, err = rabbit.Marshaler{}.Marshal(m)
	require.NoError(t, err)
}

func FuzzMarshaler(f *testing.F) {
	f.Add("key", "value", []byte("bytes"), int64(1), 0.5, "uuid", "correlation")
	f.Add("x-death", "", []byte(nil), int64(0), math.NaN(), "", "")
	f.Add("CC", "\xff", []byte{0}, int64(-1), math.Inf(-1), strings.Repeat("u", 2000), strings.Repeat("c", 300))
	f.Fuzz(func(t *testing.T, key, value string, bytes []byte, number int64, float float64, uuid, correlation string) {
		d := delivery(amqp.Table{
			"_watermill_message_uuid": uuid, key: value, key + "b": bytes, key + "n": number, key + "f": float,
			key + "t": amqp.Table{key: []any{value, bytes, number, float, nil}},
		})
		d.CorrelationId, d.MessageId = correlation, value
		m, err := rabbit.Marshaler{}.Unmarshal(d)
		require.NoError(t, err)
		for name := range m.Metadata {
			require.False(t, strings.HasPrefix(name, "x-"), name)
		}
		p, err := rabbit.Marshaler{}.Marshal(m)
		if len(key) > 200 || len(value)+len(bytes) > 10<<10 || len(correlation) > 255 || len(uuid) > 1<<10 {
			return // more than AMQP has, perhaps
		}
		require.NoError(t, err)
		require.NoError(t, p.Headers.Validate())
		again := delivery(p.Headers)
		again.CorrelationId, again.MessageId, again.Body = p.CorrelationId, p.MessageId, p.Body
		twice, err := rabbit.Marshaler{}.Unmarshal(again)
		require.NoError(t, err)
		require.Equal(t, m.UUID, twice.UUID)
		require.Equal(t, m.Metadata, twice.Metadata)
	})
}
