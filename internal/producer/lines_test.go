package producer_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/producer"
)

// lines reads all of r, each line as NUMBER:TEXT or NUMBER!ERROR.
func lines(r io.Reader) (got []string, read int64, err error) {
	err = producer.Lines(r, func(text []byte, number int, n int64, err error) error {
		read = n
		if err != nil {
			got = append(got, fmt.Sprintf("%d!%v", number, err))
		} else {
			got = append(got, fmt.Sprintf("%d:%s", number, text))
		}
		return nil
	})
	return got, read, err
}

const maxLine = 8 << 20

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	tests := map[string]struct {
		in   string
		want []string
	}{
		"nothing":                  {"", nil},
		"one":                      {"a\n", []string{"1:a"}},
		"no newline at the end":    {"a\nb", []string{"1:a", "2:b"}},
		"CRLF":                     {"a\r\nb\r\n", []string{"1:a", "2:b"}},
		"blank lines":              {"\n  \na\n\t\r\n\nb\n\n", []string{"3:a", "6:b"}},
		"only blank lines":         {"\n \n", nil},
		"white space around":       {"  a b  \n", []string{"1:a b"}},
		"a long line":              {"a\n" + long + "\nb\n", []string{"1:a", "2!longer than 8388608 bytes", "3:b"}},
		"a long line at the end":   {"a\n" + long, []string{"1:a", "2!longer than 8388608 bytes"}},
		"a line as long as it may": {long[2:] + "\nb", []string{"1:" + long[2:], "2:b"}},
		"longer than the buffer":   {strings.Repeat("y", 200000) + "\nb\n", []string{"1:" + strings.Repeat("y", 200000), "2:b"}},
		"byte order mark":          {"\ufeffa\n\ufeff\n \ufeff b\r\n\ufeff", []string{"1:a", "3:b"}},
		"UTF-16":                   {"\xff\xfe{\x00\r\x00\n\x00{\x00", []string{"1!the file is UTF-16; convert it to UTF-8"}},
		"UTF-16 without a mark":    {"\x00{\x00\n", []string{"1!the file is UTF-16; convert it to UTF-8"}},
		"UTF-32":                   {"\x00\x00\xfe\xff\x00\x00\x00{", []string{"1!the file is UTF-32; convert it to UTF-8"}},
		"NUL and no UTF-8":         {"\x00\xff\n", []string{"1:\x00\xff"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, read, err := lines(strings.NewReader(test.in))
			require.NoError(t, err)
			require.Equal(t, brief(test.want), brief(got))
			if len(test.in) > 0 && strings.TrimSpace(test.in[len(test.in)-1:]) != "" && !strings.Contains(got[0], "UTF-") && !strings.HasSuffix(test.in, "\ufeff") {
				require.EqualValues(t, len(test.in), read)
			}
		})
	}
}

// brief puts a long text's length in its place: a failure is to be readable.
func brief(lines []string) []string {
	short := []string{}
	for _, line := range lines {
		if len(line) > 1000 {
			line = fmt.Sprintf("%.20s… %d bytes", line, len(line))
		}
		short = append(short, line)
	}
	return short
}

func TestLines_ReadOneByteAtATime(t *testing.T) {
	got, read, err := lines(iotest.OneByteReader(strings.NewReader("a\n\nbc")))
	require.NoError(t, err)
	require.Equal(t, []string{"1:a", "3:bc"}, got)
	require.EqualValues(t, 5, read)
}

func TestLines_ReadError(t *testing.T) {
	gone := errors.New("the disk is gone")
	got, _, err := lines(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(gone)))
	require.ErrorIs(t, err, gone)
	require.ErrorContains(t, err, "line 2")
	require.Equal(t, []string{"1:a"}, got, "half a line is none")
}

func TestLines_YieldEndsIt(t *testing.T) {
	enough := errors.New("enough")
	n := 0
	err := producer.Lines(strings.NewReader("a\nb\nc\n"), func([]byte, int, int64, error) error {
		if n++; n == 2 {
			return enough
		}
		return nil
	})
	require.Equal(t, enough, err)
	require.Equal(t, 2, n)
}

// What is yielded stays what it is when the next line is read.
func TestLines_TextMayBeKept(t *testing.T) {
	var kept [][]byte
	require.NoError(t, producer.Lines(strings.NewReader("aaa\nbbb\nccc"), func(text []byte, _ int, _ int64, _ error) error {
		kept = append(kept, text)
		return nil
	}))
	require.Equal(t, [][]byte{[]byte("aaa"), []byte("bbb"), []byte("ccc")}, kept)
}
