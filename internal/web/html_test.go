package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// element is a node of a parsed page, with what the tests ask of it.
type element struct{ *html.Node }

// page gets a page of the status and checks what holds for every page: it
// stands by itself, can be read without a script, and has its landmarks.
func (s *site) page(status int, path string) element {
	t := s.t
	t.Helper()
	r := s.get(path)
	require.Equal(t, status, r.StatusCode, r.body)
	require.Equal(t, "text/html; charset=utf-8", r.Header.Get("Content-Type"))
	root, err := html.Parse(strings.NewReader(r.body))
	require.NoError(t, err)
	doc := element{root}

	require.Equal(t, "en", doc.one(t, "html").attr("lang"))
	require.Contains(t, doc.one(t, "title").text(), " · answerfeed")
	doc.one(t, "h1")
	doc.one(t, "header")
	doc.one(t, "footer")
	require.Equal(t, "main", doc.one(t, "main").attr("id"))
	require.Equal(t, "#main", doc.one(t, "body").all("a")[0].attr("href"), "the skip link comes first")
	require.Empty(t, doc.all("script"))
	seen := map[string]bool{}
	for _, e := range doc.all("") {
		for _, a := range e.Attr {
			require.False(t, strings.HasPrefix(a.Key, "on") || a.Key == "style", "%s has %s", e.Data, a.Key)
			if a.Key == "id" {
				require.False(t, seen[a.Val], "id %s is there twice", a.Val)
				seen[a.Val] = true
			}
			if a.Key == "src" || a.Key == "action" || a.Key == "href" && a.Val != "#main" {
				require.Regexp(t, `^/([^/]|$)`, a.Val, "nothing comes from elsewhere")
			}
		}
	}
	for _, label := range doc.all("label") {
		require.True(t, seen[label.attr("for")], "a label of nothing")
	}
	for _, nav := range doc.all("nav") {
		require.True(t, nav.attr("aria-label") != "" || seen[nav.attr("aria-labelledby")], "a nav without a name")
	}
	for _, time := range doc.all("time") {
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, time.attr("datetime"))
		require.Regexp(t, `(ago|just now) .*\d{4}, \d\d:\d\d UTC$`, time.text())
	}
	return doc
}

// all returns the elements below e that have the tag ("" for any) and the classes.
func (e element) all(tag string, classes ...string) []element {
	var found []element
	for n := range e.Descendants() {
		if n.Type != html.ElementNode || tag != "" && n.Data != tag {
			continue
		}
		d := element{n}
		has := strings.Fields(d.attr("class"))
		if !slices.ContainsFunc(classes, func(c string) bool { return !slices.Contains(has, c) }) {
			found = append(found, d)
		}
	}
	return found
}

// one is all of which there must be one.
func (e element) one(t *testing.T, tag string, classes ...string) element {
	t.Helper()
	found := e.all(tag, classes...)
	require.Len(t, found, 1, "%s %v", tag, classes)
	return found[0]
}

// link returns the one link with the text.
func (e element) link(t *testing.T, text string) string {
	t.Helper()
	var found []string
	for _, a := range e.all("a") {
		if a.text() == text {
			found = append(found, a.attr("href"))
		}
	}
	require.Len(t, found, 1, "links %q in %q", text, e.text())
	return found[0]
}

func (e element) attr(name string) string {
	for _, a := range e.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text is the text of e with single blanks.
func (e element) text() string {
	var b strings.Builder
	for n := range e.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func texts(elements []element) []string {
	out := []string{}
	for _, e := range elements {
		out = append(out, e.text())
	}
	return out
}

func TestAssets(t *testing.T) {
	s := newSite(t)
	doc := s.page(http.StatusOK, "/")
	types := map[string]string{"stylesheet": "text/css; charset=utf-8", "icon": "image/svg+xml"}
	links := doc.all("link")
	require.Len(t, links, len(types))
	for _, link := range links {
		path := link.attr("href")
		require.Regexp(t, `^/assets/\w+\.[0-9a-f]{12}\.\w+$`, path)
		r := s.get(path)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, types[link.attr("rel")], r.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=31536000, immutable", r.Header.Get("Cache-Control"))
		require.NotContains(t, r.body, "url(")
	}
	old := s.get("/assets/style.000000000000.css")
	require.Equal(t, http.StatusNotFound, old.StatusCode)
	require.Equal(t, "no-cache", old.Header.Get("Cache-Control"))
}
