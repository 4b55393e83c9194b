//go:build crashpoints

package crashpoint

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Enabled tells that this build has crash points.
const Enabled = true

// What the variables say, read once: a point must cost next to nothing, or it
// would change the moment that it is meant to find.
var (
	chosen = sync.OnceValue(func() Point {
		point, passes, _ := strings.Cut(os.Getenv(PointVariable), ":")
		n, err := strconv.ParseInt(passes, 10, 64)
		if err != nil || n < 1 {
			n = 1
		}
		left.Store(n)
		return Point(point)
	})
	left   atomic.Int64
	broken = sync.OnceValue(func() string { return os.Getenv(BrokenVariable) })
)

// At dies here, if it is told to.
func At(p Point) {
	if p != chosen() || left.Add(-1) > 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// Handling is called before a message is handled, to make that mistake.
func Handling(m *message.Message) {
	if broken() == AcknowledgeFirst {
		acknowledge(m)
	}
}

// Burying is called before a message becomes a dead letter, to make that
// mistake.
func Burying(m *message.Message) {
	if broken() == LetterLast {
		acknowledge(m)
	}
}

// Broken tells that the process is to make that mistake.
func Broken(mistake string) bool { return broken() == mistake }

// acknowledge waits until the queue has heard of it, and lets the work go on,
// whose context would end with that.
func acknowledge(m *message.Message) {
	m.SetContext(context.WithoutCancel(m.Context()))
	m.Ack()
	<-time.After(50 * time.Millisecond)
}
