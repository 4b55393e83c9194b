package importer

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// excerpt returns the text of an HTML body as one line of at most maxExcerpt characters. It reads no further than it needs.
func excerpt(body string) string {
	out := line{limit: maxExcerpt}
	var hidden atom.Atom // the element whose content is passed over
	z := html.NewTokenizer(strings.NewReader(body))
	for !out.full() {
		switch z.Next() {
		case html.ErrorToken: // the end: a string cannot fail otherwise
			return cut(out.text.String(), maxExcerpt)
		case html.TextToken:
			if hidden == 0 {
				out.add(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken: // the tokenizer takes <script/> for <script>, as browsers do
			name, _ := z.TagName()
			tag := atom.Lookup(name)
			if hidden == 0 && hides(tag) {
				hidden = tag
			}
			out.gap = out.gap || breaks(tag)
		case html.EndTagToken:
			name, _ := z.TagName()
			tag := atom.Lookup(name)
			if tag == hidden {
				hidden = 0
			}
			out.gap = out.gap || breaks(tag)
		}
	}
	return cut(out.text.String(), maxExcerpt)
}

// hides reports whether what an element holds is not text for readers. All of these end at their own end tag, whatever they hold.
func hides(tag atom.Atom) bool {
	switch tag {
	case atom.Script, atom.Style, atom.Iframe, atom.Noembed, atom.Noframes, atom.Noscript:
		return true
	}
	return false
}

// breaks reports whether a browser would separate the words at both sides of a tag.
func breaks(tag atom.Atom) bool {
	switch tag {
	case atom.P, atom.Br, atom.Hr, atom.Div, atom.Pre, atom.Blockquote, atom.Ul, atom.Ol, atom.Li, atom.Dl, atom.Dt, atom.Dd,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Tr, atom.Td, atom.Th, atom.Img:
		return true
	}
	return false
}

// fold returns the first limit+1 characters of s as one line: enough for cut to see whether there are more.
func fold(s string, limit int) string {
	out := line{limit: limit}
	out.add(s)
	return out.text.String()
}

// line gathers text, and makes one space of each run of white space and control characters, none at the ends.
type line struct {
	text  strings.Builder
	runes int
	limit int
	gap   bool // white space came since the last character
}

func (l *line) full() bool { return l.runes > l.limit }

func (l *line) add(s string) {
	for _, r := range s {
		if l.full() {
			return
		}
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			l.gap = true
			continue
		}
		if l.gap && l.runes > 0 {
			l.text.WriteByte(' ')
			l.runes++
		}
		l.gap = false
		l.text.WriteRune(r)
		l.runes++
	}
}

// cut shortens s to at most limit characters, the last being an ellipsis, behind a whole word unless that would cost too much:
// some languages put no spaces.
func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	end := limit - 1
	for i := end; i > end-limit/5; i-- {
		if runes[i] == ' ' {
			end = i
			break
		}
	}
	return string(runes[:end]) + "…"
}
