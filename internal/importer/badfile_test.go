package importer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

const goodRow = `<row Id="1" PostTypeId="1" CreationDate="2014-03-13T20:32:04" Title="t" Tags="|x|"/>`

// badFiles are the seeds of the fuzz target as well.
var badFiles = map[string]struct {
	file, want string
	questions  int // handed on before the error
}{
	"empty":                    {"", "read posts at byte 0: the file ends before <posts>", 0},
	"byte order mark alone":    {"\ufeff", "read posts at byte 3: the file ends before <posts>", 0},
	"declaration alone":        {`<?xml version="1.0"?>` + "\n", "read posts at byte 22: the file ends before <posts>", 0},
	"plain text":               {"Dear reader,\n", "read posts at byte 0: text outside <posts>", 0},
	"text after the mark":      {"\ufeffDear <posts></posts>", "read posts at byte 3: text outside <posts>", 0},
	"JSON":                     {`{"posts":[]}`, "read posts at byte 0: text outside <posts>", 0},
	"gzip":                     {"\x1f\x8b\x08\x00\x00", "read posts at byte 0: the file is compressed; unpack it, and name the Posts.xml that comes out", 0},
	"7z":                       {"7z\xbc\xaf\x27\x1c\x00\x04", "read posts at byte 0: the file is compressed; unpack it, and name the Posts.xml that comes out", 0},
	"bytes of no kind":         {"\x01\x02\xfe\xff<posts/>", "read posts at byte 0: text outside <posts>", 0},
	"UTF-16, truncated":        {"\xff\xfe<\x00p\x00o", "read posts at byte 7: XML syntax error on line 1: unexpected EOF", 0},
	"UTF-32":                   {"\xff\xfe\x00\x00<\x00\x00\x00", "read posts at byte 0: the file is UTF-32; convert it to UTF-8", 0},
	"another encoding":         {`<?xml version="1.0" encoding="latin1"?><posts/>`, `read posts at byte 39: xml: opening charset "latin1": the file says that its encoding is "latin1"; convert it to UTF-8`, 0},
	"another root":             {`<?xml version="1.0"?><comments><row Id="1"/></comments>`, "read posts at byte 21: the file is not one <posts> element", 0},
	"HTML":                     {"<!DOCTYPE html><html></html>", "read posts at byte 15: the file is not one <posts> element", 0},
	"two roots":                {"<posts>" + goodRow + "</posts><posts/>", "read posts at byte 99: the file is not one <posts> element", 1},
	"text after the end":       {"<posts>" + goodRow + "</posts>\n.", "read posts at byte 99: text outside <posts>", 1},
	"truncated between rows":   {"<posts>" + goodRow, "read posts at byte 91: XML syntax error on line 1: unexpected EOF", 1},
	"truncated in a row":       {"<posts>" + goodRow + "\n" + goodRow[:20], "read posts at byte 112: XML syntax error on line 2: unexpected EOF", 1},
	"truncated after a mark":   {"\ufeff<posts>" + goodRow[:20], "read posts at byte 30: XML syntax error on line 1: unexpected EOF", 0},
	"wrong end tag":            {"<posts>" + goodRow + "</post>", "read posts at byte 98: XML syntax error on line 1: element <posts> closed by </post>", 1},
	"unknown entity":           {`<posts><row Title="&nbsp;"/></posts>`, "read posts at byte 25: XML syntax error on line 1: invalid character entity &nbsp;", 0},
	"100,000 levels":           {"<posts>" + strings.Repeat("<a>", 100_000), "read posts at byte 196: elements nested deeper than 64 levels", 0},
	"a row of 5 MiB":           {"<posts>" + goodRow + `<row ` + strings.Repeat("x", 5<<20) + `=""/></posts>`, "read posts at byte 4194395: a row or text of more than 4194304 bytes", 1},
	"5 MiB without an element": {strings.Repeat(" ", 5<<20), "read posts at byte 4194304: a row or text of more than 4194304 bytes", 0},
}

func TestABadFileIsAnErrorThatNamesTheByte(t *testing.T) {
	for name, bad := range badFiles {
		t.Run(name, func(t *testing.T) {
			_, counts, err := collect(strings.NewReader(bad.file), Options{})
			require.EqualError(t, err, bad.want)
			counts.Replaced, counts.ReplacedLine = 0, 0
			require.Equal(t, Counts{Questions: bad.questions}, counts)
		})
	}
}

func TestAReadErrorIsWrapped(t *testing.T) {
	broken := errors.New("input/output error")
	file := io.MultiReader(strings.NewReader("<posts>"+goodRow), iotest.ErrReader(broken))
	_, counts, err := collect(file, Options{})
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "read posts at byte 91: input/output error")
	require.Equal(t, Counts{Questions: 1}, counts)
}

func TestEmptyPostsAreNoError(t *testing.T) {
	_, counts, err := collect(strings.NewReader("<posts/>\n<!-- the end -->\n"), Options{})
	require.NoError(t, err)
	require.Zero(t, counts)
}
