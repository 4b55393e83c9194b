package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// dialWithin bounds a connection to the server behind a proxy.
const dialWithin = 5 * time.Second

// Proxy lies between the processes of a run and a server, to cut their
// connections.
type Proxy struct {
	listener        net.Listener
	network, server string

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
	wg     sync.WaitGroup
}

// NewProxy listens on a free port of the loopback and passes on to a server.
// Close it.
func NewProxy(network, server string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for a proxy: %w", err)
	}
	p := &Proxy{listener: listener, network: network, server: server, open: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Port is where the proxy listens.
func (p *Proxy) Port() int {
	at, _ := p.listener.Addr().(*net.TCPAddr)
	return at.Port
}

// Addr is host:port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut ends every connection at once, in the middle of whatever is sent: the
// peers see a reset. It returns how many there were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for conn := range p.open {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
		n++
	}
	return n / 2
}

// Close cuts what is left and returns when all is ended.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Cut()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // for want of descriptors, say
			_ = pause(context.Background(), 10*time.Millisecond)
			continue
		}
		p.wg.Go(func() { p.pass(client) })
	}
}

// pass joins a client to the server until one of the two ends.
func (p *Proxy) pass(client net.Conn) {
	defer client.Close() //nolint:errcheck // it is over
	dialer := net.Dialer{Timeout: dialWithin}
	server, err := dialer.DialContext(context.Background(), p.network, p.server)
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // it is over
	if !p.hold(client, server) {
		return
	}
	defer p.release(client, server)
	var both sync.WaitGroup
	one := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close() // which ends the other direction
		_ = from.Close()
	}
	both.Go(func() { one(server, client) })
	both.Go(func() { one(client, server) })
	both.Wait()
}

func (p *Proxy) hold(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	for _, c := range conns {
		p.open[c] = true
	}
	return true
}

func (p *Proxy) release(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.open, c)
	}
}
