package middleware

import (
	"bytes"
	"context"
	"runtime/pprof"
	"slices"
	"strings"
)

// handlerLabel marks the goroutines of a handler's attempts, in profiles too.
const handlerLabel = "handler"

// maxStacks is how much of the stacks is logged, in bytes.
const maxStacks = 4 << 10

// labelled is a context with which a goroutine becomes the handler's, at the
// price of a pointer.
func labelled(handler string) context.Context {
	return pprof.WithLabels(context.Background(), pprof.Labels(handlerLabel, handler))
}

// stacksOf are the stacks of the handler's goroutines, those that are alike
// counted together, the most frequent first.
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
			found = append(found, brevity(record))
		}
	}
	return cut(strings.Join(slices.Compact(found), "\n"), maxStacks)
}

// brevity leaves the addresses out of a record.
func brevity(record string) string {
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
