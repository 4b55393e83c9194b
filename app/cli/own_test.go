package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/handlers"
)

// seenOptions are the settings of the handler of a program from outside.
type seenOptions struct {
	Window int `yaml:"window" range:"1..10"`
}

// ownProgram is a program with a handler of its own.
func ownProgram(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	own := handlers.Handler{
		Name: "seen", Options: &seenOptions{Window: 5}, Concurrency: 16,
		Topics: func(handlers.Env) []handlers.Topic {
			return []handlers.Topic{{Name: "question-seen", Handle: func(context.Context, []byte) error { return errors.New("boom") }}}
		},
	}
	var out, err output
	code := Run(t.Context(), Options{
		Name: "seer", Args: args, Handlers: append(handlers.All(), own), In: strings.NewReader(stdin), Out: &out, Err: &err,
	})
	return result{code, out.String(), err.String()}
}

// The verbs of a program from outside know its handlers and its name.
func TestOwnProgram_HasTheVerbsForItsHandlers(t *testing.T) {
	here(t)
	r := ownProgram(t, "", "--help")
	require.Equal(t, exitDone, r.code)
	require.Contains(t, r.out, "seer run --demo")
	require.NotRegexp(t, `\bworker (run|publish|import)\b`, r.out)
	require.Contains(t, ownProgram(t, "", "deadletters", "--help").out, "seer deadletters requeue ID")

	write(t, "worker.yaml", "migrate: false\n")
	r = ownProgram(t, "", "backlog")
	require.Equal(t, exitFailed, r.code)
	require.True(t, strings.HasPrefix(r.err, "seer: "), r.err)
	require.Contains(t, r.err, "run `seer migrate`")

	write(t, "worker.yaml", "handlers: {seen: {options: {window: 11}}}\n")
	r = ownProgram(t, "", "config", "check")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "handlers.seen.options.window: ")
	write(t, "worker.yaml", "handlers: {seen: {options: {window: 7}}}\n")
	shown := ownProgram(t, "", "config", "show").out
	require.Contains(t, shown, "window: 7")
	require.Regexp(t, `(?s)feed:.*concurrency: 1000 .*seen:.*concurrency: 16 `, shown)
	write(t, "worker.yaml", "handlers: {seen: {concurrency: 3, options: {window: 7}}}\n")
	require.Regexp(t, `(?s)seen:.*concurrency: 3 `, ownProgram(t, "", "config", "show").out)

	require.Equal(t, result{exitDone, "", "published 1, refused 0\n"}, ownProgram(t, `{"topic":"question-seen","data":{}}`, "publish"))
	require.Regexp(t, `(?m)^seen +question-seen +1 +0 `, ownProgram(t, "", "backlog").out)
}
