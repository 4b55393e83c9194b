// Package rabbit is the transport on RabbitMQ, 3.10 or later.
//
// A topic is a durable fanout exchange; each handler has a quorum queue on it,
// queues for its letters, and a queue for each delay of its redelivery. What the
// broker gives up, and what older workers left, movers bring to where it can
// rest. Names, bindings
// and headers go by watermill-amqp's TopologyBuilder and Marshaler, which the
// package implements, so that stock publishers and subscribers of watermill-amqp
// work beside it. Publishing and consuming do not go by its Publisher and
// Subscriber: the one waits for one confirmation at a time, the other has one
// message in flight.
//
// The one thing to know: what the broker has confirmed is on a majority of its
// disks, and what was not acknowledged comes back, from whatever end of the
// connection the fault came.
package rabbit
