package cli

import (
	"context"
	"io"
)

// input is what a verb reads until ctx ends: a person who is asked, or who
// types events, ends the verb by Ctrl-C. A read of a terminal cannot be called
// back, so the one that is under way then ends with the process.
type input struct {
	ctx context.Context //nolint:containedctx // of the command line
	in  io.Reader
}

// Read implements io.Reader.
func (i *input) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	type outcome struct {
		text []byte
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		text := make([]byte, len(p)) // of its own: p is the caller's again after Ctrl-C
		n, err := i.in.Read(text)
		done <- outcome{text[:n], err}
	}()
	select {
	case o := <-done:
		return copy(p, o.text), o.err
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	}
}
