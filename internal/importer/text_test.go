package importer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestExcerpt(t *testing.T) {
	words := strings.TrimSpace(strings.Repeat("four ", 250)) // 1,249 characters
	for name, c := range map[string]struct{ body, want string }{
		"empty":                       {"", ""},
		"plain text":                  {"just text", "just text"},
		"white space":                 {" \n a\t\r\n b&nbsp;&nbsp;c\u2003d ", "a b c d"},
		"control characters":          {"a&#1;b\u0085c", "a b c"},
		"paragraphs stay apart":       {"<p>one</p><p>two</p>three<br>four<hr/>five", "one two three four five"},
		"inline tags part no words":   {"H<sub>2</sub>O is <b>w</b>ater<i>!</i>", "H2O is water!"},
		"lists and tables":            {"<ul><li>a</li><li>b</li></ul><table><tr><td>c</td><td>d</td></tr></table>", "a b c d"},
		"code keeps its signs":        {"<pre><code>if a &lt; b &amp;&amp; c {\n}</code></pre>", "if a < b && c { }"},
		"script and style":            {"a<script>if (x < y) { w('</p>') }</script>b<style>p{}</style>c", "abc"},
		"upper case script":           {"a<SCRIPT>x</ScRiPt>b", "ab"},
		"script without end":          {"a<script>b<p>c", "a"},
		"empty script":                {"a<script/>b</script>c", "ac"},
		"frames and their substitute": {"a<iframe src=x>b</iframe><noscript><p>c</p></noscript>d", "ad"},
		"comment and doctype":         {"<!DOCTYPE html>a<!-- b -->c", "ac"},
		"entities":                    {"&eacute;&#8364;&#x1F600;&lt;b&gt; &unknown; &amp;lt;", "é€😀<b> &unknown; &lt;"},
		"NUL by entity":               {"a&#0;b", "a\ufffdb"},
		"broken tags":                 {"a < b <p c", "a < b"},
		"picture":                     {"a<img src='x.png' alt='y'>b", "a b"},
		"end tag without start":       {"a</div>b</script>c", "a bc"},
		"1,000 characters":            {strings.Repeat("é", 1000), strings.Repeat("é", 1000)},
		"trailing space costs none":   {strings.Repeat("é", 1000) + " <p> ", strings.Repeat("é", 1000)},
		"cut at a word":               {words, words[:999] + "…"},
		"cut without words":           {strings.Repeat("語", 1001), strings.Repeat("語", 999) + "…"},
		"cut before a long word":      {"a " + strings.Repeat("x", 2000), "a " + strings.Repeat("x", 997) + "…"},
		"cut at a near word":          {strings.Repeat("x", 900) + " " + strings.Repeat("y", 500), strings.Repeat("x", 900) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, excerpt(c.body))
		})
	}
}

func TestCutKeepsTheLimit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.Just(' '), rapid.Just('\n'))).Draw(rt, "text")
		limit := rapid.IntRange(1, 40).Draw(rt, "limit")
		folded := fold(s, limit)
		got := cut(folded, limit)
		require.LessOrEqual(rt, utf8.RuneCountInString(got), limit)
		require.True(rt, strings.HasPrefix(folded, strings.TrimSuffix(got, "…")))
		require.Equal(rt, strings.Join(strings.Fields(got), " "), got, "one space between words, none at the ends")
	})
}

func TestTagNames(t *testing.T) {
	for tags, want := range map[string]string{
		"":          "",
		"<a>":       "a",
		"<b-c><a>":  "b-c a",
		"|a|":       "a",
		"|c++|a|":   "c++ a",
		"<>":        "",
		"a":         "a",
		"<.net><é>": ".net é",
	} {
		require.Equal(t, want, strings.Join(tagNames(tags), " "), tags)
	}
}
