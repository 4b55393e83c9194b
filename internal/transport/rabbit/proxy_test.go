package rabbit_test

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy stands between a transport and its broker, and is a bad network when
// it is told to.
type proxy struct {
	url    string
	target string

	mu      sync.Mutex
	cond    *sync.Cond
	refused int
	refuses bool
	hung    bool
	delay   time.Duration
	open    []net.Conn
	all     sync.WaitGroup
}

func startProxy(t testing.TB, broker string) *proxy {
	t.Helper()
	u, err := url.Parse(broker)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{target: u.Host}
	p.cond = sync.NewCond(&p.mu)
	u.Host = l.Addr().String()
	p.url = u.String()
	p.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(c)
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.hang(false)
		p.cut()
		p.all.Wait()
	})
	return p
}

func (p *proxy) serve(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	broker, err := net.Dial("tcp", p.target)
	if p.refuses || err != nil {
		p.refused++
		c.Close()
		if err == nil {
			broker.Close()
		}
		return
	}
	p.open = append(p.open, c, broker)
	p.all.Go(func() { p.copy(c, broker) })
	p.all.Go(func() { p.copy(broker, c) })
}

func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.hung {
			p.cond.Wait()
		}
		delay := p.delay
		p.mu.Unlock()
		<-time.After(delay)
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// refuse closes every new connection at once.
func (p *proxy) refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = yes
}

// attempts waits until so many connections were refused.
func (p *proxy) attempts(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.refused >= n
	}, patience, time.Millisecond)
}

// connected waits until so many connections are open.
func (p *proxy) connected(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.open) >= 2*n // each has two ends
	}, patience, time.Millisecond)
}

// hang passes nothing on, and keeps it for later: a black hole.
func (p *proxy) hang(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hung = yes
	p.cond.Broadcast()
}

// slow passes everything on so much later.
func (p *proxy) slow(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// cut breaks the connections that are open.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		c.Close()
	}
	p.open = nil
}
