package crash_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/crash"
)

// What a user runs must neither die nor go wrong, whatever the variables say.
// (What a build with the tag does, `make verify` shows.)
func TestWithoutTheTag_NothingHappens(t *testing.T) {
	require.False(t, crash.Enabled)
	for _, point := range crash.Points() {
		t.Setenv(crash.PointVariable, string(point)+":1")
		crash.At(point) // this process goes on
	}
	for mistake, call := range map[string]func(*message.Message){crash.AcknowledgeFirst: crash.Handling, crash.LetterLast: crash.Burying} {
		t.Setenv(crash.BrokenVariable, mistake)
		m := message.NewMessage("m", nil)
		call(m)
		select {
		case <-m.Acked():
			require.Fail(t, "acknowledged", mistake)
		default:
		}
	}
}
