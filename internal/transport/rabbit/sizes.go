package rabbit

import (
	"regexp"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

// provenFirst is the size of a body that any broker is believed to take until
// it says otherwise.
const provenFirst = 64 << 10

// sizes is what a connection has shown to take. AMQP has no way to ask for
// the broker's max_message_size, and a larger message closes the channel
// under all who publish on it; so the first message of a size beyond what was
// confirmed goes on a channel of its own.
type sizes struct {
	proven int // the largest body that was confirmed, or provenFirst
	limit  int // the broker's, 0 while it is not known
	frame  int // the largest frame, 0 = any
}

// sizes of the connection of this moment.
func (l *link) sizes() sizes {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.learned
	if l.conn != nil {
		s.frame = l.conn.Config.FrameSize
	}
	s.proven = max(s.proven, provenFirst)
	return s
}

// learn changes what is known of a connection, if that is still the link's.
func (l *link) learn(conn *amqp.Connection, change func(*sizes)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == conn {
		change(&l.learned)
	}
}

// overMaxSize is RabbitMQ's reason for closing a channel, 3.10 to 4.3.
var overMaxSize = regexp.MustCompile(`message size \d+ is larger than (?:configured )?max size (\d+)`)

// limitIn is the broker's limit as the reason of a closed channel tells it, 0
// when the reason is another.
func limitIn(why *amqp.Error) int {
	if why == nil || why.Code != amqp.PreconditionFailed {
		return 0
	}
	m := overMaxSize.FindStringSubmatch(why.Reason)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}
