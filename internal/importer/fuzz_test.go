package importer

import (
	"bytes"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

// FuzzStackExchange asserts that any bytes give valid events and an error or none, the same however the reader cuts them.
func FuzzStackExchange(f *testing.F) {
	f.Add(readPosts(f))
	for _, bad := range badFiles {
		if len(bad.file) < 1<<20 {
			f.Add([]byte(bad.file))
		}
	}
	f.Add(utf16Of(string(readPosts(f)), true))
	f.Add([]byte("<posts><row Title='&#0;&#x1F600;&#xD800;&#99999999999;\x01\xff&amp;&#x;&#x0e' Body='&#1114112;'/></posts>"))
	f.Fuzz(func(t *testing.T, file []byte) {
		bad := 0
		options := Options{GradeTags: gradeTags, CopiedAt: importedAt(), Report: func(offset int64, err error) {
			bad++
			require.Contains(t, "<\x00", string(file[offset:offset+1]), "of UTF-16 with the large end first, the byte before")
			require.Error(t, err)
		}}
		events, counts, err := collect(bytes.NewReader(file), options)
		require.Equal(t, bad, counts.Bad)
		require.Len(t, events, counts.Questions+counts.Answers)
		for _, e := range events {
			require.NoError(t, event.Validate(e.Topic, e.Payload))
			require.Equal(t, e.ID, event.Identity(e.Payload, ""))
		}
		again, sameCounts, sameErr := collect(iotest.HalfReader(bytes.NewReader(file)), Options{GradeTags: gradeTags, CopiedAt: importedAt()})
		require.Equal(t, events, again)
		require.Equal(t, counts, sameCounts)
		require.Equal(t, err == nil, sameErr == nil)
	})
}

// FuzzExcerpt asserts that whatever a body holds, its excerpt may stand in an event.
func FuzzExcerpt(f *testing.F) {
	for _, body := range []string{"", "<p>a</p>", "<script>", "a<script/>b</script>c", "&#0;&#xd800;&#x110000;", "<plaintext>a</p>", "<svg><style/>", "\u0085\u00a0", "<![CDATA[x]]>", "<a <b>"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		question := post{id: "1", created: "2014-03-13T20:32:04", title: "t", body: body}
		_, err := question.question(Options{Grade: "x"})
		require.NoError(t, err)
	})
}
