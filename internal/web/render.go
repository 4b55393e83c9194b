package web

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
)

// pages are the parsed templates by file name, each with the layout around it.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	parsed := pages{}
	for _, name := range []string{"feed.html", "question.html", "leaderboard.html", "error.html"} {
		t, err := template.ParseFS(files, "templates/layout.html", "templates/partials.html", "templates/"+name)
		if err != nil {
			return nil, err
		}
		parsed[name] = t.Option("missingkey=error")
	}
	return parsed, nil
}

// layout is what the template layout.html takes.
type layout struct {
	Assets  assets
	Page    string // the template's file name, for the navigation's mark
	Title   string
	Content any
}

// render writes a page in one piece: one that fails halfway is never seen.
func (s *Server) render(w http.ResponseWriter, status int, name, title string, content any) error {
	var body bytes.Buffer
	err := s.pages[name].ExecuteTemplate(&body, "layout.html", layout{Assets: s.assets, Page: name, Title: title, Content: content})
	if err != nil {
		return fault(fmt.Errorf("render %s: %w", name, err))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
	return nil
}
