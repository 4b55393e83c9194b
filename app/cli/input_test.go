package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Nobody answers a question; Ctrl-C ends it, as no.
func TestConfirm_EndsByCtrlC(t *testing.T) {
	never, write := io.Pipe()
	defer write.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	answer := make(chan bool, 1)
	go func() { answer <- confirm(&input{ctx, never}, &out, "sure? ") }()
	cancel()
	select {
	case agreed := <-answer:
		require.False(t, agreed)
	case <-time.After(patience):
		require.Fail(t, "the question goes on")
	}
	_, err := (&input{ctx, strings.NewReader("yes\n")}).Read(make([]byte, 10))
	require.ErrorIs(t, err, context.Canceled, "nothing is read afterwards")
}

// Events are typed; Ctrl-C ends the verb, and what was published is said.
func TestPublish_OfWhatIsTypedEndsByCtrlC(t *testing.T) {
	here(t)
	typed, keyboard := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said output
	code := make(chan int, 1)
	go func() { code <- Run(ctx, stock(Options{Args: []string{"publish"}, In: typed, Err: &said})) }()
	_, err := io.WriteString(keyboard, answerLine(1))
	require.NoError(t, err)
	cancel()
	select {
	case got := <-code:
		require.Equal(t, exitFailed, got)
	case <-time.After(patience):
		require.Fail(t, "it goes on reading")
	}
	require.NoError(t, keyboard.Close())
	require.Contains(t, said.String(), "published ")
}
