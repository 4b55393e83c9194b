package printable_test

import (
	"encoding/json"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/printable"
)

// commands are what no terminal must get, whether or not JSON would escape it.
const commands = "\x07\x1b\x7f\u0085\u009b\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\U000e0041"

func TestJSONSaysTheSameWithoutCommandsToATerminal(t *testing.T) {
	for _, text := range []string{commands, "plain", "", "Äpfel \u009b2J und 日本 \U0001f600", "\u202egnp.exe"} {
		document, err := json.MarshalIndent(map[string]string{text: text}, "", "  ")
		require.NoError(t, err)
		safe := printable.JSON(document)
		for _, r := range string(safe) {
			require.True(t, r == '\n' || r == ' ' || unicode.IsPrint(r), "%U", r)
		}
		var back map[string]string
		require.NoError(t, json.Unmarshal(safe, &back))
		require.Equal(t, map[string]string{text: text}, back)
	}
	require.Equal(t, `"Äpfel \u009b 日本 😀 \udb40\udc41"`, string(printable.JSON([]byte("\"Äpfel \u009b 日本 😀 \U000e0041\""))))
	require.Equal(t, `"\ufffd"`, string(printable.JSON([]byte("\"\xff\""))))
}

func TestCommands(t *testing.T) {
	for _, r := range commands {
		escapedByJSON, notObeyed := r < ' ', r == 0xfeff || r > 0xffff
		require.Equal(t, !escapedByJSON && !notObeyed, printable.Commands([]byte("a"+string(r)+"b")), "%U", r)
	}
	require.False(t, printable.Commands([]byte("Äpfel 日本 👩\u200d🔬 \xff")))
}

func FuzzJSON(f *testing.F) {
	f.Add(commands)
	f.Add("\xff\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		document, err := json.Marshal(text)
		require.NoError(t, err)
		var want, got string
		require.NoError(t, json.Unmarshal(document, &want))
		require.NoError(t, json.Unmarshal(printable.JSON(document), &got))
		require.Equal(t, want, got)
		require.False(t, printable.Commands(printable.JSON(document)))
		for _, r := range printable.Text(text) {
			require.True(t, r == ' ' || unicode.IsPrint(r), "%U", r)
		}
	})
}
