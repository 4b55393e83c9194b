package failures

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// tap lies between a worker and its broker, and counts the deliveries that the
// broker makes: every basic.deliver that passes, before the worker has it. Of
// what a worker does with its messages it needs no word.
type tap struct {
	server   string
	listener net.Listener
	all      sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
	queues map[consumer]string
	seen   map[string]delivered
	err    error // the first thing that it does not understand
}

// consumer is who a delivery names: a tag is unique on its channel alone.
type consumer struct {
	conn    net.Conn
	channel uint16
	tag     string
}

// delivered counts the deliveries of one queue.
type delivered struct {
	First int // that the broker made for the first time
	Again int // that it made before: given back, or in flight when a connection ended
}

// tapped is the same place with a tap on what goes from and to the broker; with
// none, where there is no broker.
func (p place) tapped(t testing.TB) (place, *tap) {
	t.Helper()
	if !p.amqp() {
		return p, nil
	}
	x := &tap{queues: map[consumer]string{}, seen: map[string]delivered{}}
	u, err := url.Parse(p.settings["transport.amqp.url"])
	require.NoError(t, err)
	x.server = u.Host
	x.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.Host = x.listener.Addr().String()
	x.all.Go(x.accept)
	t.Cleanup(x.close)
	return p.with(map[string]string{"transport.amqp.url": u.String()}), x
}

// requireDelivered requires that the broker delivered so much from the queues of
// the recorder, and nothing again.
func (x *tap) requireDelivered(t testing.TB, p place, messages, letters int) {
	t.Helper()
	if x == nil {
		return
	}
	queue := p.settings["transport.prefix"] + tried + ".recorder"
	want := map[string]delivered{queue: {First: messages}}
	if letters > 0 {
		want[queue+".letters"] = delivered{First: letters}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	require.NoError(t, x.err)
	require.Equal(t, want, x.seen, "deliveries of the broker")
}

func (x *tap) close() {
	_ = x.listener.Close()
	x.mu.Lock()
	x.closed = true
	for _, c := range x.conns {
		_ = c.Close()
	}
	x.mu.Unlock()
	x.all.Wait()
}

func (x *tap) accept() {
	for {
		client, err := x.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", x.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		x.mu.Lock()
		x.conns = append(x.conns, client, server)
		if x.closed {
			_, _ = client.Close(), server.Close()
		}
		x.mu.Unlock()
		x.all.Go(func() { x.pass(server, client, client, len("AMQP\x00\x00\x09\x01")) })
		x.all.Go(func() { x.pass(client, server, client, 0) })
	}
}

// pass hands on what comes from one end, frame by frame; the first bytes of a
// client are no frame.
func (x *tap) pass(to, from, client net.Conn, first int) {
	defer to.Close()
	defer from.Close()
	in, out := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	if _, err := io.CopyN(out, in, int64(first)); err != nil || out.Flush() != nil {
		return
	}
	for {
		head, err := in.Peek(7) // type, channel, size
		if err != nil {
			return
		}
		const end = 1
		frame := make([]byte, 7+binary.BigEndian.Uint32(head[3:])+end)
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		if frame[0] == 1 { // a method
			x.method(client, binary.BigEndian.Uint16(frame[1:]), frame[7:len(frame)-end])
		}
		if _, err := out.Write(frame); err != nil {
			return
		}
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

// method notes who consumes and what is delivered. The numbers and the layout
// of arguments are those of AMQP 0-9-1.
func (x *tap) method(conn net.Conn, channel uint16, b []byte) {
	const consume, deliver, getOK = 60<<16 | 20, 60<<16 | 60, 60<<16 | 71
	x.mu.Lock()
	defer x.mu.Unlock()
	switch args := b[4:]; binary.BigEndian.Uint32(b) {
	case consume: // a reserved number, queue, tag
		queue, rest := short(args[2:])
		tag, _ := short(rest)
		if tag == "" {
			x.err = errors.Join(x.err, fmt.Errorf("who consumes %s has no tag of its own", queue))
		}
		x.queues[consumer{conn, channel, tag}] = queue
	case deliver: // tag, number of the delivery, whether it is made again
		tag, rest := short(args)
		queue, known := x.queues[consumer{conn, channel, tag}]
		if !known {
			x.err = errors.Join(x.err, fmt.Errorf("a delivery to %q, who consumes nothing", tag))
		}
		n := x.seen[queue]
		if rest[8]&1 != 0 {
			n.Again++
		} else {
			n.First++
		}
		x.seen[queue] = n
	case getOK:
		x.err = errors.Join(x.err, errors.New("a message was fetched, not delivered"))
	}
}

// short cuts a short string off arguments.
func short(b []byte) (text string, rest []byte) {
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:]
}

// What a consumer gives back at once, ten times, is seen as that.
func TestTap_SeesAHotLoop(t *testing.T) {
	t.Parallel()
	const messages, times = 20, 10
	p, wire := place{settings: map[string]string{"transport.kind": "amqp", "transport.amqp.url": broker.get(t).URL}}.tapped(t)
	conn, err := amqp.Dial(p.settings["transport.amqp.url"])
	require.NoError(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	require.NoError(t, err)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	require.NoError(t, err)
	deliveries, err := ch.Consume(q.Name, "", false, false, false, false, nil)
	require.NoError(t, err)
	for range messages {
		require.NoError(t, ch.PublishWithContext(t.Context(), "", q.Name, false, false, amqp.Publishing{Body: make([]byte, 10_000)}))
	}
	for range messages * times {
		require.NoError(t, (<-deliveries).Nack(false, true))
	}
	for range messages {
		require.NoError(t, (<-deliveries).Ack(false))
	}
	wire.mu.Lock()
	defer wire.mu.Unlock()
	require.NoError(t, wire.err)
	require.Equal(t, map[string]delivered{q.Name: {First: messages, Again: messages * times}}, wire.seen)
}
