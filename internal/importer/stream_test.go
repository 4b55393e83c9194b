package importer

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// endless is a Posts.xml of rows rows, made while it is read.
type endless struct {
	rows, made int
	rest       []byte
}

func (f *endless) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		f.made++
		switch {
		case f.made == 1:
			f.rest = []byte("<posts>\n")
		case f.made <= f.rows+1:
			f.rest = fmt.Appendf(nil, `  <row Id="%d" PostTypeId="%d" ParentId="1" CreationDate="2014-03-13T20:32:04.033" Title="Question" Body="%s" Tags="|a|b|" />`+"\n",
				f.made, 1+f.made%2, strings.Repeat("&lt;p&gt;Some words of a post.&lt;/p&gt;&#xA;", 25))
		case f.made == f.rows+2:
			f.rest = []byte("</posts>\n")
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// liveBytes is what the heap holds that is still of use.
func liveBytes() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// A file of 9 MB must hold no more memory at its end than a small one.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	const rows, every, allowed = 8_000, 2_000, 1 << 20
	var first, most uint64
	seen := 0
	counts, err := StackExchange(&endless{rows: rows}, Options{}, func(Event) error {
		if seen++; seen%every == 0 {
			live := liveBytes()
			if first == 0 {
				first = live
			}
			most = max(most, live)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, Counts{Questions: rows / 2, Answers: rows / 2}, counts)
	require.Less(t, most, first+allowed)
}

// BenchmarkStackExchange reports the rate by row; B/op stays the same per row at any b.N.
func BenchmarkStackExchange(b *testing.B) {
	b.ReportAllocs()
	counts, err := StackExchange(&endless{rows: b.N}, Options{}, func(Event) error { return nil })
	if err != nil || counts.Questions+counts.Answers != b.N {
		b.Fatal(counts, err)
	}
}
