package failure

import (
	"errors"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// amqp knows the reply codes by which a broker closes a channel or a
// connection. Transient is what lies with the broker: an operator closed the
// connection, it ran out of something, or the connection was gone before. A
// body that it finds too large stays so. The rest tells of settings: a queue,
// a permission or a virtual host that is not there.
// Source: https://www.rabbitmq.com/amqp-0-9-1-reference#constants
func amqp(err error) (Kind, Reason, bool) {
	var e *amqp091.Error
	if !errors.As(err, &e) {
		return 0, "", false
	}
	switch e.Code {
	case amqp091.ContentTooLarge:
		return KindPermanent, TooLarge, true
	case amqp091.NoConsumers, amqp091.ConnectionForced, amqp091.ResourceLocked,
		amqp091.ChannelError, // also amqp091's own "channel/connection is not open"
		amqp091.ResourceError, amqp091.InternalError, amqp091.FrameError, amqp091.UnexpectedFrame:
		return KindTransient, Network, true
	}
	return KindUnknown, Unknown, true
}
