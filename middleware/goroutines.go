package middleware

import (
	"bytes"
	"context"
	"runtime/pprof"
	"slices"
	"strings"
)

// handlerLabel is the profiler label of the goroutines of a handler's attempts.
const handlerLabel = "handler"

// maxStacks is the most bytes of stacks that one log line has.
const maxStacks = 4 << 10

// handlerLabels returns a context that labels a goroutine with the handler. It is
// made once, so that labelling an attempt costs no allocation.
func handlerLabels(handler string) context.Context {
	return pprof.WithLabels(context.Background(), pprof.Labels(handlerLabel, handler))
}

// stacksOf returns the stacks of the handler's goroutines, the most frequent
// first; goroutines with the same stack are counted together.
func stacksOf(handler string) string {
	var all bytes.Buffer
	if pprof.Lookup("goroutine").WriteTo(&all, 1) != nil {
		return "" // never: a buffer takes everything
	}
	// A record is "COUNT @ ADDRESSES", "# labels: {…}" and a line a frame.
	label := `"` + handlerLabel + `":"` + handler + `"`
	var found []string
	for record := range strings.SplitSeq(all.String(), "\n\n") {
		if head, _, _ := strings.Cut(record, "#\t"); strings.Contains(head, label) {
			found = append(found, compactRecord(record))
		}
	}
	return cut(strings.Join(slices.Compact(found), "\n"), maxStacks)
}

// compactRecord removes the addresses from a record.
func compactRecord(record string) string {
	var lines []string
	for line := range strings.Lines(record) {
		line = strings.TrimSpace(line)
		count, _, isHead := strings.Cut(line, " @ ")
		switch {
		case isHead:
			lines = append(lines, count+" goroutines:")
		case strings.HasPrefix(line, "#\t"):
			fields := strings.Fields(line) // # ADDRESS FUNCTION+OFFSET FILE:LINE
			if len(fields) == 4 {
				lines = append(lines, fields[2]+" "+fields[3])
			}
		}
	}
	return strings.Join(lines, "\n")
}
