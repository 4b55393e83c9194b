package crashpoint_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
)

// What a user runs must neither die nor go wrong, whatever the variables say.
// (What a build with the tag does, `make verify` shows.)
func TestWithoutTheTag_NothingHappens(t *testing.T) {
	require.False(t, crashpoint.Enabled)
	for _, point := range crashpoint.Points() {
		t.Setenv(crashpoint.PointVariable, string(point)+":1")
		crashpoint.At(point) // this process goes on
	}
	require.False(t, crashpoint.Broken(""))
	for mistake, call := range map[string]func(*message.Message){crashpoint.AcknowledgeFirst: crashpoint.Handling, crashpoint.LetterLast: crashpoint.Burying} {
		t.Setenv(crashpoint.BrokenVariable, mistake)
		m := message.NewMessage("m", nil)
		call(m)
		select {
		case <-m.Acked():
			require.Fail(t, "acknowledged", mistake)
		default:
		}
	}
}
