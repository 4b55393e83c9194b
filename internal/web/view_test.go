package web

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/feed"
)

func TestNumbersInWords(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567"} {
		require.Equal(t, want, grouped(n))
	}
	require.Equal(t, "no answer yet", answersInWords(0))
	require.Equal(t, "1 answer", answersInWords(1))
	require.Equal(t, "2,000 answers", answersInWords(2000))
}

func manySubjects(n int) []feed.Subject {
	subjects := make([]feed.Subject, n)
	for i := range subjects {
		subjects[i] = feed.Subject{Subject: fmt.Sprintf("s%d", i), Questions: 1000 - i, Unanswered: i % 2}
	}
	return subjects
}

func TestSubjectsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name           string
		subjects       int
		current        string
		shown, folded  int
		left, lastName string
	}{
		{"none", 0, "", 0, 0, "", ""},
		{"few", 5, "", 5, 0, "", "s4"},
		{"as many as are shown", 20, "", 20, 0, "", "s19"},
		{"some folded", 37, "", 20, 17, "", "s19"},
		{"all that the page lists", 100, "", 20, 80, "", "s19"},
		{"more", 1500, "", 20, 80, "1,400", "s19"},
		{"a chosen one is shown though folded", 37, "s30", 21, 16, "", "s30"},
		{"a chosen one is shown though left out", 1500, "s1000", 21, 80, "1,399", "s1000"},
		{"a chosen one that is no more", 5, "gone", 5, 0, "", "s4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := viewSubjects(manySubjects(c.subjects), selection{Subject: c.current})
			require.Len(t, v.Shown, c.shown)
			require.Len(t, v.Folded, c.folded)
			require.Equal(t, c.left, v.Left)
			require.Equal(t, c.current == "", v.All.Current)
			if c.shown > 0 {
				require.Equal(t, c.lastName, v.Shown[c.shown-1].Name)
			}
		})
	}
	v := viewSubjects(manySubjects(3), selection{Grade: "primary"})
	require.Equal(t, subjectView{Name: "All subjects", Questions: "2,997", Unanswered: "1", Path: "/?grade=primary", Current: true}, v.All)
	require.Equal(t, subjectView{Name: "s1", Questions: "999", Unanswered: "1", Path: "/?grade=primary&subject=s1"}, v.Shown[1])
}

func TestGradesAreBounded(t *testing.T) {
	grades := make([]string, 500)
	for i := range grades {
		grades[i] = fmt.Sprintf("g%03d", i)
	}
	v := viewFilter(grades, selection{Grade: "g400"})
	require.Len(t, v.Grades, 102)
	require.Equal(t, optionView{"", "All grades", false}, v.Grades[0])
	require.Equal(t, optionView{"g400", "g400", true}, v.Grades[101], "the chosen one is offered in any case")
	require.Equal(t, "g100", grades[100], "the caller's list is as it was")
}

func TestSelection(t *testing.T) {
	all := selection{Subject: "a&b", Grade: "é", Answered: "false"}
	require.Equal(t, "/?answered=false&grade=%C3%A9&subject=a%26b", all.path())
	require.Equal(t, "/?answered=false&grade=%C3%A9", all.withSubject("").path())
	require.Equal(t, "/?cursor=x%2B&subject=history", selection{Subject: "history"}.olderThan("x+"))
	require.Equal(t, "/api/feed", selection{}.api())
	require.Equal(t, "Unanswered questions in a&b, grade é", all.heading())
	require.Equal(t, "Newest questions", selection{}.heading())
	require.True(t, all.filtered())
	require.False(t, selection{}.filtered())
}

func TestUntitledQuestionHasALink(t *testing.T) {
	v := viewQuestions([]feed.Item{{QuestionID: "q", Title: " \u2003"}}, time.Time{})
	require.Equal(t, "(untitled)", v[0].Title)
}
