package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Problem is one thing wrong with the configuration. It never holds a password, nor text that may be one.
type Problem struct {
	File    string `json:"file,omitempty"`   // as it was named; "" when the value does not come from a file
	Line    int    `json:"line,omitempty"`   // from 1; 0 when the file as a whole is meant
	Column  int    `json:"column,omitempty"` // in characters, from 1; 0 when only the line is known
	Env     string `json:"env,omitempty"`    // the variable; "" when the value does not come from the environment
	Key     string `json:"key,omitempty"`    // such as "handlers.feed.concurrency"; "" when no key is meant
	Message string `json:"message"`
}

// String is the problem on one line, where it is coming first: "worker.yaml:12:3: web.listen: must be …", or
// "WORKER_WEB_LISTEN: must be …". One from an override begins with its key.
func (p Problem) String() string {
	if p.Env != "" { // a variable says its key already
		return p.Env + ": " + p.Message
	}
	place := p.File
	for _, n := range []int{p.Line, p.Column} {
		if n > 0 {
			place += ":" + strconv.Itoa(n)
		}
	}
	var parts []string
	for _, part := range []string{place, p.Key, p.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// Problems is the error of a Load that found something wrong: everything that is, the file's first, in its order.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sorted() Problems {
	rank := func(p Problem) int {
		switch {
		case p.File != "":
			return 0
		case p.Env != "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Env, b.Env), cmp.Compare(a.Key, b.Key))
	})
	return ps
}

// Where a value comes from.
const (
	SourceDefault     = "default"
	SourceFile        = "file"
	SourceEnvironment = "environment"
	SourceFlag        = "flag"
)

// Origin tells where a key's value comes from.
type Origin struct {
	Source string `json:"source"`           // one of the Source constants
	File   string `json:"file,omitempty"`   // SourceFile: as it was named
	Line   int    `json:"line,omitempty"`   // SourceFile: of the value, from 1
	Column int    `json:"column,omitempty"` // SourceFile: of the value, in characters, from 1
	Env    string `json:"env,omitempty"`    // SourceEnvironment: the variable, with _FILE where that was set
}

// String is the origin as Show writes it: "default", "worker.yaml:3", "WORKER_WEB_LISTEN" or "flag".
func (o Origin) String() string {
	switch o.Source {
	case SourceFile:
		return o.File + ":" + strconv.Itoa(o.Line)
	case SourceEnvironment:
		return o.Env
	}
	return o.Source
}

func (o Origin) problem(key, message string) Problem {
	return Problem{File: o.File, Line: o.Line, Column: o.Column, Env: o.Env, Key: key, Message: message}
}

// complaint is what is wrong with text, which it quotes where that is safe.
func complaint(err error, text string, r rule) string {
	if r.secret != "" {
		return err.Error()
	}
	said := fmt.Sprintf("%v, not %s", err, quoted(text))
	if meant := meant(text, r.oneOf); meant != "" {
		said += fmt.Sprintf(" (did you mean %q?)", meant)
	}
	return said
}
