package importer

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

// utf16Of is text as a file in UTF-16 with a byte order mark.
func utf16Of(text string, bigEndian bool) []byte {
	var order binary.AppendByteOrder = binary.LittleEndian
	if bigEndian {
		order = binary.BigEndian
	}
	file := order.AppendUint16(nil, 0xfeff)
	for _, unit := range utf16.Encode([]rune(text)) {
		file = order.AppendUint16(file, unit)
	}
	return file
}

// titles imports a file that must be without fault, and returns its questions' titles.
func titles(t *testing.T, file string) ([]string, Counts) {
	t.Helper()
	events, counts, err := collect(iotest.HalfReader(strings.NewReader(file)), Options{Report: func(_ int64, err error) { require.NoError(t, err) }})
	require.NoError(t, err)
	var all []string
	for _, e := range events {
		question, err := event.DecodeQuestionAdded(e.Payload)
		require.NoError(t, err)
		all = append(all, question.Title)
	}
	return all, counts
}

func TestACharacterThatXMLForbidsIsReplacedAndCounted(t *testing.T) {
	const before = "<?xml version=\"1.0\"?>\n<posts>\n" + goodRow + "\n"
	for name, c := range map[string]struct{ title, want string }{
		"control":                      {"a\x0eb", "a\ufffdb"},
		"NUL":                          {"a\x00b", "a\ufffdb"},
		"reference":                    {"a&#x0E;b", "a\ufffdb"},
		"decimal reference":            {"a&#14;b", "a\ufffdb"},
		"zeros before":                 {"a&#x00000000000000000000e;b", "a\ufffdb"},
		"reference to NUL":             {"a&#0;b", "a\ufffdb"},
		"reference to a surrogate":     {"a&#xD83D;b", "a\ufffdb"},
		"reference to no character":    {"a&#x110000;b", "a\ufffdb"},
		"reference beyond any number":  {"a&#99999999999999999999;b", "a\ufffdb"},
		"U+FFFE":                       {"a\ufffeb", "a\ufffdb"},
		"reference to U+FFFF":          {"a&#xffff;b", "a\ufffdb"},
		"invalid UTF-8":                {"a\xffb", "a\ufffdb"},
		"a surrogate in UTF-8":         {"a\xed\xa0\x80b", "a\ufffd\ufffd\ufffdb"},
		"after a line end in the text": {"\na&#1;b", "a\ufffdb"},
	} {
		t.Run(name, func(t *testing.T) {
			row := strings.Replace(goodRow, `Title="t"`, `Title="`+c.title+`"`, 1)
			got, counts := titles(t, before+row+"\n"+goodRow+"</posts>")
			require.Equal(t, []string{"t", c.want, "t"}, got)
			require.Equal(t, Counts{Questions: 3, Replaced: strings.Count(c.want, "\ufffd"), ReplacedLine: 4 + strings.Count(c.title, "\n")}, counts)
		})
	}
	got, counts := titles(t, "<posts>"+strings.Replace(goodRow, `"t"`, `"&#x9;&#xD7FF;&#xE000;&#x1F600;&#65533;&amp;#1;&lt;"`, 1)+"</posts>")
	require.Equal(t, []string{"\ud7ff\ue000😀\ufffd&#1;<"}, got, "what XML allows stays, and so does a text that only looks like a reference")
	require.Zero(t, counts.Replaced)
}

func TestDumpsInAnyFormThatXMLAllowsPass(t *testing.T) {
	long := strings.Repeat("&lt;word&gt; ", 1<<18) // 3 MB
	wide := strings.Repeat("日", 1<<18)
	document := func(head, rows string) string { return head + "<posts>\n" + rows + "\n</posts>\n" }
	const declared = `<?xml version="1.0" encoding="utf-16"?>`
	for name, file := range map[string]string{
		"document type":              document("<?xml version=\"1.0\"?>\n<!DOCTYPE posts>\n", goodRow),
		"document type with a body":  document("<!DOCTYPE posts SYSTEM \"posts.dtd\" [ <!ELEMENT posts (row*)> <!-- > ' -->\n<!ATTLIST row Id CDATA #IMPLIED> ]>", goodRow),
		"CRLF":                       strings.ReplaceAll(document("<?xml version=\"1.0\"?>\n", goodRow), "\n", "\r\n"),
		"byte order mark":            "\ufeff" + document("", goodRow),
		"UTF-16, small end first":    string(utf16Of(document(declared, goodRow), false)),
		"UTF-16, large end first":    string(utf16Of(document(declared, goodRow), true)),
		"UTF-16, CRLF":               string(utf16Of(strings.ReplaceAll(document(declared+"\n", goodRow), "\n", "\r\n"), false)),
		"UTF-16 without a mark":      string(utf16Of(document(declared, goodRow), false)[2:]),
		"row with an end tag":        document("", strings.Replace(goodRow, "/>", "></row>", 1)),
		"row with elements":          document("", strings.Replace(goodRow, "/>", "><Tags>\n<Tag/></Tags> text </row>", 1)),
		"single quotes":              document("", strings.ReplaceAll(goodRow, `"`, "'")),
		"unknown attributes":         document("", strings.Replace(goodRow, "/>", ` ContentLicense="CC BY-SA 4.0" xml:lang="en" New=">"/>`, 1)),
		"another order, few of them": document("", `<row Title="t" CreationDate="2014-03-13T20:32:04" Id="1" PostTypeId="1"/>`),
		"empty attributes":           document("", `<row Id="1" PostTypeId="1" CreationDate="2014-03-13T20:32:04" LastEditDate="" Title="t" Tags="" Body="" OwnerUserId=""/>`),
		"long attributes":            document("", strings.Replace(goodRow, "/>", ` Body="`+long+`" Other='`+long+`"'/>`, 1)),
		"long, of three bytes each":  document("", strings.Replace(goodRow, "/>", ` Body="`+wide+`" A=" `+wide+`" B="  `+wide+`"/>`, 1)),
		"comments":                   document("<!-- <posts Id='\" --><?note x?>", "<!-- "+goodRow+" ' -->"+goodRow+"<!-- -->"),
	} {
		t.Run(name, func(t *testing.T) {
			got, counts := titles(t, file)
			require.Equal(t, []string{"t"}, got)
			require.Equal(t, Counts{Questions: 1}, counts)
		})
	}
	got, counts := titles(t, string(utf16Of(document("", strings.Replace(goodRow, `"t"`, `"Ä日😀&#x0e;"`, 1)), true)))
	require.Equal(t, []string{"Ä日😀\ufffd"}, got)
	require.Equal(t, Counts{Questions: 1, Replaced: 1, ReplacedLine: 2}, counts)
}

func TestAnEditIsAnotherVersionAndAnotherEvent(t *testing.T) {
	imported := func(file string, day int) (event.QuestionAdded, string) {
		events, _, err := collect(strings.NewReader("<posts>"+file+"</posts>"), Options{CopiedAt: importedAt().AddDate(0, 0, day)})
		require.NoError(t, err)
		require.Len(t, events, 1)
		question, err := event.DecodeQuestionAdded(events[0].Payload)
		require.NoError(t, err)
		require.Equal(t, question.EventID, events[0].ID)
		return question, events[0].ID
	}
	edit := func(title, date string) string {
		return strings.Replace(goodRow, `Title="t"`, `Title="`+title+`" LastEditDate="`+date+`"`, 1)
	}
	for title := range 20 { // of as many hashes
		april := edit("april"+string(rune('a'+title)), "2020-01-01T00:00:00.000")
		older, olderID := imported(april, 0)
		newer, newerID := imported(edit("july", "2020-06-01T00:00:00.000"), 1)
		again, againID := imported(april, 2)
		require.True(t, older.Version().Before(newer.Version()))
		require.True(t, again.Version().Before(newer.Version()), "an older dump takes nothing back, whenever it is imported")
		require.Equal(t, older.OccurredAt, newer.OccurredAt, "it was asked when it was asked")
		require.NotEqual(t, olderID, newerID)
		require.Equal(t, olderID, againID)

		changed, changedID := imported(edit("july", "2020-01-01T00:00:00.000"), 1)
		require.True(t, older.Version().Before(changed.Version()), "a text that changed without a new date counts by its import")
		require.NotEqual(t, olderID, changedID)

		never, neverID := imported(goodRow, 3)
		require.True(t, never.Version().Before(older.Version()))
		require.Equal(t, "se-question-1", neverID)
	}
}

func TestTwoSitesShareNoID(t *testing.T) {
	const rows = `<posts><row Id="1" PostTypeId="1" CreationDate="2014-03-13T20:32:04" LastEditDate="2014-03-14T20:32:04" Title="t" OwnerUserId="7"/>
		<row Id="2" PostTypeId="2" ParentId="1" CreationDate="2014-03-13T20:32:04" OwnerUserId="7"/></posts>`
	seen := map[string]bool{}
	for _, site := range []string{"", "math.stackexchange.com", "physics"} {
		events, _, err := collect(strings.NewReader(rows), Options{Site: site})
		require.NoError(t, err)
		question, err := event.DecodeQuestionAdded(events[0].Payload)
		require.NoError(t, err)
		answer, err := event.DecodeAnswerAdded(events[1].Payload)
		require.NoError(t, err)
		require.Equal(t, question.QuestionID, answer.QuestionID)
		require.Equal(t, question.AuthorID, answer.AuthorID)
		before := ""
		if site != "" {
			before = site + "/"
		}
		require.Equal(t, []string{before + "q1", before + "a2", before + "7"}, []string{question.QuestionID, answer.AnswerID, answer.AuthorID})
		for _, id := range []string{question.QuestionID, answer.AnswerID, answer.AuthorID, question.EventID, answer.EventID} {
			require.False(t, seen[id], id)
			seen[id] = true
		}
	}
	for _, name := range []string{"a/b", "Math", "a b", ".", "a.", strings.Repeat("a", 65), "ä", "q1\n"} {
		_, _, err := collect(strings.NewReader(rows), Options{Site: name})
		require.ErrorContains(t, err, "check the site: it must be 1 to 64 of a-z")
	}
}

func TestSiteOf(t *testing.T) {
	for path, want := range map[string]string{
		"/dumps/math.stackexchange.com/Posts.xml":  "math.stackexchange.com",
		"/dumps/stackoverflow.com-Posts/Posts.xml": "stackoverflow.com",
		"/dumps/mathoverflow.net.xml":              "mathoverflow.net",
		"/data/Math.StackExchange.com-Posts.xml":   "math.stackexchange.com",
		"/work/data/posts.xml":                     "",
		"/tmp/tmp.abc/Posts.xml":                   "",
		"/srv/v1.2/Posts.xml":                      "",
		"/srv/posts.old/matheducators-posts.xml":   "",
		"/srv/a b.com/Posts.xml":                   "",
		"/math.stackexchange.com/old/Posts.xml":    "",
		"/srv/-.com/Posts.xml":                     "",
	} {
		require.Equal(t, want, SiteOf(path), path)
	}
	t.Chdir(t.TempDir())
	require.Empty(t, SiteOf("Posts.xml"))
}
