package rabbit

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/answerfeed/answerfeed/internal/transport"
)

const (
	// maxShort is the length of AMQP's short strings, of which properties
	// and header names are made.
	maxShort = 255
	// maxHeaders keeps the headers within a frame, of which RabbitMQ takes
	// 128 KiB: more would close the connection under everybody. What comes
	// from others is cut to maxForeign, which leaves room for what the worker
	// adds before it publishes the message again.
	maxHeaders, maxForeign = 100 << 10, 64 << 10
	// headerOverhead is what a text header takes beside key and value.
	headerOverhead = 6
	// maxBody is what RabbitMQ takes by default; more would close the channel
	// under everybody.
	maxBody = 128 << 20
	// maxUUID is the length from which on a foreign UUID is none.
	maxUUID = 1 << 10

	headerDeliveries = "x-delivery-count"
)

// reserved reports that a header is the broker's, not metadata: a kept x-death
// makes it drop the message as a cycle, and CC and BCC send copies to other
// queues, or close the channel when they are no lists.
func reserved(key string) bool {
	return strings.HasPrefix(key, "x-") || key == "CC" || key == "BCC" || key == wamqp.DefaultMessageUUIDHeaderKey
}

// Marshaler turns messages into publishings and deliveries into messages. It
// is a watermill-amqp Marshaler, and reads what its DefaultMarshaler writes.
//
// That one refuses any header that is not a string, and a refused message
// comes back at once, for ever; this one turns every type into text. Headers
// that are the broker's own are not metadata and are never published again.
type Marshaler struct{}

var _ wamqp.Marshaler = Marshaler{}

// Marshal makes a persistent publishing. Its MessageId is the UUID and its
// CorrelationId the correlation id, for readers without Watermill.
func (Marshaler) Marshal(m *message.Message) (amqp.Publishing, error) {
	if len(m.Payload) > maxBody {
		return amqp.Publishing{}, fmt.Errorf("%w: the payload has %d bytes; at most %d are possible", transport.ErrTooLarge, len(m.Payload), maxBody)
	}
	headers := amqp.Table{wamqp.DefaultMessageUUIDHeaderKey: m.UUID}
	size := headerSize(wamqp.DefaultMessageUUIDHeaderKey, m.UUID)
	for key, value := range m.Metadata {
		if reserved(key) {
			continue
		}
		if len(key) > maxShort {
			return amqp.Publishing{}, fmt.Errorf("%w: a metadata key has %d bytes; at most %d are possible", transport.ErrUnpublishable, len(key), maxShort)
		}
		headers[key] = value
		size += headerSize(key, value)
	}
	if size > maxHeaders {
		return amqp.Publishing{}, fmt.Errorf("%w: UUID and metadata have %d bytes; at most %d are possible", transport.ErrTooLarge, size, maxHeaders)
	}
	p := amqp.Publishing{
		Headers: headers, Body: m.Payload, DeliveryMode: amqp.Persistent, Timestamp: time.Now(),
	}
	if len(m.UUID) <= maxShort {
		p.MessageId = m.UUID
	}
	if id := m.Metadata.Get(transport.KeyCorrelationID); len(id) <= maxShort {
		p.CorrelationId = id
	}
	return p, nil
}

func headerSize(key, value string) int { return len(key) + len(value) + headerOverhead }

// Unmarshal never fails on what a broker can deliver, but for the empty ghost
// that amqp091 hands out when a consumer is cancelled.
func (Marshaler) Unmarshal(d amqp.Delivery) (*message.Message, error) {
	if d.Acknowledger == nil {
		return nil, errors.New("not a delivery: the consumer was cancelled")
	}
	uuid, _ := d.Headers[wamqp.DefaultMessageUUIDHeaderKey].(string)
	if uuid == "" || len(uuid) > maxUUID {
		uuid = d.MessageId
	}
	m := message.NewMessage(uuid, d.Body)
	size := headerSize(wamqp.DefaultMessageUUIDHeaderKey, uuid)
	if !takeAll(m.Metadata, d.Headers, size) {
		takeSome(m.Metadata, d.Headers, size)
	}
	if m.Metadata.Get(transport.KeyCorrelationID) == "" && d.CorrelationId != "" {
		m.Metadata.Set(transport.KeyCorrelationID, d.CorrelationId)
	}
	return m, nil
}

// takeAll takes the headers as they are, and returns false when they are not
// such as a worker writes: texts, valid, and in all not too long.
func takeAll(metadata message.Metadata, headers amqp.Table, size int) bool {
	for key, value := range headers {
		if reserved(key) {
			continue
		}
		v, ok := value.(string)
		v = textOf(v)
		if size += headerSize(key, v); !ok || size > maxForeign || !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
			clear(metadata)
			return false
		}
		metadata[key] = v
	}
	return true
}

// takeSome takes headers of any kind, in the order of their names as far as there
// is room, and notes what is left out.
func takeSome(metadata message.Metadata, headers amqp.Table, size int) {
	var cut []string
	for _, key := range slices.Sorted(maps.Keys(headers)) {
		if reserved(key) {
			continue
		}
		value := text(headers[key])
		if n := headerSize(key, value); size+n <= maxForeign {
			size += n
			metadata[strings.ReplaceAll(strings.ToValidUTF8(key, "?"), "\x00", "?")] = value
		} else {
			cut = append(cut, key)
		}
	}
	if len(cut) > 0 {
		metadata[transport.KeyBadMetadata] = fmt.Sprintf("%d headers are too long to be kept; the first is %q", len(cut), cut[0])
	}
}

// text is a header's value of any type that AMQP has.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return textOf(v)
	case []byte:
		return textOf(string(v))
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case amqp.Decimal:
		return fmt.Sprintf("%de-%d", v.Value, v.Scale)
	case amqp.Table, []any:
		b, err := json.Marshal(plain(v))
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(b)
	}
	return fmt.Sprint(value) // every other type is a number
}

// textOf is what metadata can hold: bytes that are no text become base64.
func textOf(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	return base64.StdEncoding.EncodeToString([]byte(s))
}

// plain makes nested values fit for JSON.
func plain(value any) any {
	switch v := value.(type) {
	case amqp.Table:
		m := make(map[string]any, len(v))
		for key, inner := range v {
			m[key] = plain(inner)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, inner := range v {
			list[i] = plain(inner)
		}
		return list
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case float32, float64:
		return fmt.Sprint(v) // NaN and infinity have no JSON
	}
	return value
}

// returns is how often the broker delivered the message before, to whomever.
func returns(d amqp.Delivery) int {
	switch n := d.Headers[headerDeliveries].(type) {
	case int64:
		return int(n)
	case int32:
		return int(n)
	}
	if d.Redelivered {
		return 1
	}
	return 0
}
