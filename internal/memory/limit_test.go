package memory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/memory"
)

func TestLimit(t *testing.T) {
	require.Equal(t, int64(300<<20), memory.Limit(300<<20), "what is configured")
	require.GreaterOrEqual(t, memory.Limit(0), int64(memory.Least))
}

func TestDivide_StaysWithin(t *testing.T) {
	for _, limit := range []int64{memory.Least, memory.Default, 1 << 30, 64 << 30} {
		p := memory.Divide(limit)
		require.Positive(t, p.Messages)
		require.Less(t, p.Messages, p.Heap)
		require.Less(t, p.Caches+p.Heap, limit)
	}
}
