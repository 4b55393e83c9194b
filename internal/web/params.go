package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/answerfeed/answerfeed/internal/feed"
)

const (
	defaultLimit = 20
	maxLimit     = 100

	orderOldest = "oldest"
	orderNewest = "newest"
)

// params returns the known parameters of the query that have a value. One that
// is repeated, or that no database could hold, is refused; unknown ones are
// left out.
func params(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "The query of the address is malformed: percent-encode it, and separate its parameters by &.")
	}
	values := url.Values{}
	for _, name := range known {
		switch value := query.Get(name); {
		case len(query[name]) > 1:
			return nil, badParameter(name, "is given more than once")
		case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
			return nil, badParameter(name, "is not valid UTF-8 text")
		case value != "":
			values.Set(name, value)
		}
	}
	return values, nil
}

// strictParams is params that refuses unknown ones, for the API.
func strictParams(r *http.Request, known ...string) (url.Values, error) {
	values, err := params(r, known...)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		if slices.Contains(known, name) {
			continue
		}
		allowed := "has none"
		if len(known) > 0 {
			allowed = "has " + strings.Join(known, ", ")
		}
		return nil, badParameter(name, "is unknown; this address "+allowed)
	}
	return values, nil
}

// feedFilter reads the parameters of the feed.
func feedFilter(values url.Values) (feed.Filter, error) {
	f := feed.Filter{Subject: values.Get("subject"), Grade: values.Get("grade"), Cursor: values.Get("cursor")}
	switch values.Get("answered") {
	case "":
	case "true":
		f.Answered = new(true)
	case "false":
		f.Answered = new(false)
	default:
		return feed.Filter{}, badParameter("answered", "must be true or false")
	}
	var err error
	f.Limit, err = limit(values)
	return f, err
}

// answerFilter reads the parameters of a question's answers.
func answerFilter(values url.Values, limit int) (feed.AnswerFilter, error) {
	f := feed.AnswerFilter{Cursor: values.Get("cursor")}
	switch values.Get("order") {
	case "", orderOldest:
	case orderNewest:
		f.Newest = true
	default:
		return f, badParameter("order", "must be oldest or newest")
	}
	var err error
	f.Limit, err = limitTo(values, limit, feed.MaxAnswers)
	return f, err
}

func limit(values url.Values) (int, error) { return limitTo(values, defaultLimit, maxLimit) }

func limitTo(values url.Values, otherwise, most int) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badParameter("limit", fmt.Sprintf("must be a whole number from 1 to %d", most))
	}
	return n, nil
}

// questionID returns the id in the path. What cannot be an id is no question,
// and never reaches the database, which might choke on it.
func questionID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return "", feed.ErrNotFound
	}
	return id, nil
}
