package web

import "net/url"

// selection is what the reader of the feed page has chosen. It is a value:
// each with… returns a changed copy, whose path is the link to that choice.
type selection struct {
	Subject, Grade string
	Answered       string // "", "true" or "false", as in the query
}

func selectionOf(values url.Values) selection {
	return selection{Subject: values.Get("subject"), Grade: values.Get("grade"), Answered: values.Get("answered")}
}

func (s selection) withSubject(subject string) selection { s.Subject = subject; return s }
func (s selection) withGrade(grade string) selection     { s.Grade = grade; return s }
func (s selection) withAnswered(a string) selection      { s.Answered = a; return s }

func (s selection) filtered() bool { return s != selection{} }

// path is the link to the newest questions of the selection.
func (s selection) path() string { return s.link("/", "") }

// olderThan is the link to the questions that follow the cursor.
func (s selection) olderThan(cursor string) string { return s.link("/", cursor) }

// api is the link to the same list as JSON.
func (s selection) api() string { return s.link("/api/feed", "") }

func (s selection) link(path, cursor string) string {
	query := url.Values{}
	for name, value := range map[string]string{"subject": s.Subject, "grade": s.Grade, "answered": s.Answered, "cursor": cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// heading says in words what the list holds.
func (s selection) heading() string {
	heading := "Newest questions"
	switch s.Answered {
	case "true":
		heading = "Answered questions"
	case "false":
		heading = "Unanswered questions"
	}
	if s.Subject != "" {
		heading += " in " + s.Subject
	}
	if s.Grade != "" {
		heading += ", grade " + s.Grade
	}
	return heading
}
