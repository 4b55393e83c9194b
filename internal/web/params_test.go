package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzFeedFilter: whatever the query, it is either refused as the client's
// mistake or gives a filter that any database can take.
func FuzzFeedFilter(f *testing.F) {
	for _, query := range []string{
		"", "subject=history&grade=primary&answered=true&limit=20&cursor=abc", "limit=0", "limit=%2B5", "limit=1e2",
		"answered=maybe", "subject=%ff", "grade=%00", "a;b", "limit=%zz", "limit=1&limit=1", "&&==", "subject=+%20", strings.Repeat("x=&", 100),
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}}
		values, err := strictParams(r, "subject", "grade", "answered", "limit", "cursor")
		if err != nil {
			require.Equal(t, http.StatusBadRequest, problemOf(err).Status)
			return
		}
		filter, err := feedFilter(values)
		if err != nil {
			require.Equal(t, http.StatusBadRequest, problemOf(err).Status)
			require.NotEmpty(t, problemOf(err).Parameter)
			return
		}
		require.True(t, filter.Limit >= 1 && filter.Limit <= 100)
		for _, text := range []string{filter.Subject, filter.Grade, filter.Cursor} {
			require.True(t, utf8.ValidString(text) && !strings.ContainsRune(text, 0))
		}
	})
}
