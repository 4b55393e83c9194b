package rabbit

import (
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// DelayArguments are those of the delay queues of a queue.
func DelayArguments(queue, by string, delay time.Duration) amqp.Table {
	return delayArguments(queue, by, delay)
}
