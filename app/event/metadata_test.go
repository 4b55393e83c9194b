package event

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckMetadata(t *testing.T) {
	for name, c := range map[string]struct {
		metadata map[string]string
		want     string
	}{
		"none":              {nil, ""},
		"usual":             {map[string]string{"correlation_id": "c1", "traceparent": ""}, ""},
		"longest key":       {map[string]string{strings.Repeat("k", MaxMetadataKey): "v"}, ""},
		"largest":           {map[string]string{"k": strings.Repeat("v", MaxMetadata-1)}, ""},
		"a byte too many":   {map[string]string{"k": strings.Repeat("v", MaxMetadata)}, "too-large event: metadata: larger than 32768 bytes"},
		"too many together": {map[string]string{"k": strings.Repeat("v", MaxMetadata/2), "l": strings.Repeat("v", MaxMetadata/2)}, "too-large event: metadata: larger than 32768 bytes"},
		"empty key":         {map[string]string{"": "v"}, "invalid event: metadata: a key is empty or longer than 128 bytes"},
		"key too long":      {map[string]string{strings.Repeat("k", MaxMetadataKey+1): "v"}, "invalid event: metadata: a key is empty or longer than 128 bytes"},
		"NUL in a key":      {map[string]string{"k\x00": "v"}, "invalid event: metadata: a key or value is not valid UTF-8 or holds a NUL character"},
		"NUL in a value":    {map[string]string{"k": "\x00"}, "invalid event: metadata: a key or value is not valid UTF-8 or holds a NUL character"},
		"not UTF-8":         {map[string]string{"k": "\xff"}, "invalid event: metadata: a key or value is not valid UTF-8 or holds a NUL character"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckMetadata(c.metadata); c.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, c.want)
			}
		})
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "feed", "question-added", "0", "-", strings.Repeat("x", 60)} {
		require.True(t, ValidName(name), name)
	}
	for _, name := range []string{"", "Feed", "a.b", "a_b", "a b", "é", "a\n", "a\x00", strings.Repeat("x", 61)} {
		require.False(t, ValidName(name), name)
	}
}
