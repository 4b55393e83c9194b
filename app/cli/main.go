// Package cli is the command line of the worker, for cmd/worker and for
// programs with handlers of their own: run, publish, backlog, deadletters,
// migrate and the other verbs, one file a verb.
//
// The one thing to know: each verb works with the handlers that the program
// hands over. So their options are checked, their queues are made, and the
// program's name stands in the help.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/answerfeed/answerfeed/handlers"
)

// Main is all that a program's main does: it runs the command line of the
// process with these handlers, and ends the process with the exit code. The
// first SIGINT or SIGTERM begins an orderly stop; the second one kills.
func Main(all ...handlers.Handler) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := Run(ctx, Options{
		Name: programName(os.Args), Args: os.Args[1:], Handlers: all, In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
	})
	stop()
	os.Exit(code)
}

// programName is what the program was called by, without its folder.
func programName(args []string) string {
	return strings.TrimSuffix(filepath.Base(args[0]), ".exe")
}

// Options are one command line, and what it works with.
type Options struct {
	// Name of the program, as help and errors show it. Defaults to "worker".
	Name string
	// Args is the command line without the program's name.
	Args []string
	// Handlers are those of the program, the worker's own included:
	// append(handlers.All(), own).
	Handlers []handlers.Handler
	// In is what a verb reads. Defaults to nothing. A question is asked only if
	// In and Err are terminals.
	In io.Reader
	// Out takes what a verb was asked for, Err all else: logs, errors,
	// progress. Default to nowhere.
	Out, Err io.Writer
}

// Run runs one command line and returns its exit code: 0 done, 1 failed or
// partly failed, 2 wrong usage or configuration. The end of ctx is an orderly
// stop.
func Run(ctx context.Context, o Options) int {
	if o.Name == "" {
		o.Name = stockName
	}
	if o.In == nil {
		o.In = strings.NewReader("")
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Err == nil {
		o.Err = io.Discard
	}
	o.In = &input{ctx, o.In}
	c := &cli{Options: o}
	root := newRoot(c)
	root.SetArgs(append([]string{}, o.Args...)) // cobra takes nil for the arguments of the process
	err := root.ExecuteContext(ctx)
	for _, end := range c.ending {
		end()
	}
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintf(o.Err, "%s: %s\n", o.Name, verbNames(root).Replace(err.Error()))
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
