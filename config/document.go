package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration file, and each file that a _FILE variable names: 1 MiB.
const maxFile = 1 << 20

// readFile returns what a file holds. The errors do not name it: what was meant for its name may be a secret.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(data) > maxFile {
		return nil, errors.New("larger than 1 MiB")
	}
	return data, nil
}

func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// document is the mapping that a file's one YAML document consists of; nil when the file holds nothing.
func document(file string, data []byte) (*yaml.Node, *Problem) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at, what := notText(data); what != "" {
		line, column := position(data, at)
		return nil, &Problem{File: file, Line: line, Column: column, Message: what}
	}
	parser := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := parser.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntaxProblem(file, data, err)
	}
	switch err := parser.Decode(&second); {
	case err == nil:
		return nil, &Problem{File: file, Line: second.Line, Column: second.Column,
			Message: "a second document begins here: a configuration is one document"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxProblem(file, data, err)
	}
	root := doc.Content[0]
	if cycle := findCycle(root, map[*yaml.Node]bool{}); cycle != nil {
		return nil, &Problem{File: file, Line: cycle.Line, Column: cycle.Column, Message: "this alias stands inside of what it refers to"}
	}
	switch {
	case root.Kind == yaml.MappingNode:
		return root, nil
	case isNull(root):
		return nil, nil
	}
	return nil, &Problem{File: file, Line: root.Line, Column: root.Column,
		Message: fmt.Sprintf("must be a mapping of keys such as `web:`, not %s", kindOf(root))}
}

// notText finds the first byte that cannot stand in a YAML file, and says what it is.
func notText(data []byte) (at int, what string) {
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			return at, "not valid UTF-8"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f:
			return at, fmt.Sprintf("a control character (U+%04X)", r)
		}
		at += size
	}
	return 0, ""
}

// position is the line and the column, in characters, of a byte; both from 1.
func position(data []byte, at int) (line, column int) {
	start := bytes.LastIndexByte(data[:at], '\n') + 1
	return 1 + bytes.Count(data[:at], []byte("\n")), 1 + utf8.RuneCount(data[start:at])
}

var (
	parserLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	tabIndent  = regexp.MustCompile(`(?m)^ *\t[ \t]*[^\s#]`)
	anchorName = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)
)

// syntaxProblem is the parser's error with its line, which is all that it tells of the place.
func syntaxProblem(file string, data []byte, err error) *Problem {
	if loc := tabIndent.FindIndex(data); loc != nil { // the parser's words for it help nobody
		tab := loc[0] + bytes.IndexByte(data[loc[0]:], '\t')
		line, column := position(data, tab)
		return &Problem{File: file, Line: line, Column: column, Message: "not valid YAML: a tab in the indentation: use blanks"}
	}
	text := err.Error()
	if unknown := anchorName.FindStringSubmatch(text); unknown != nil { // its name may be a password that was not quoted
		line, column := position(data, max(0, bytes.Index(data, []byte("*"+unknown[1]))))
		return &Problem{File: file, Line: line, Column: column,
			Message: "an alias without its anchor: if text that begins with * is meant, put it in quotes"}
	}
	line, _ := strconv.Atoi(parserLine.FindStringSubmatch(text + "yaml: ")[1])
	text = strings.TrimPrefix(text, parserLine.FindString(text))
	line = max(line, 1) // the parser does not count the first
	return &Problem{File: file, Line: line, Message: "not valid YAML, here or in the lines below: " + text}
}

// findCycle is an alias below n that stands inside of what it refers to, if there is one. The map holds what was
// seen: true while the search is inside of it.
func findCycle(n *yaml.Node, seen map[*yaml.Node]bool) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		if seen[n.Alias] {
			return n
		}
		n = n.Alias
	}
	if _, done := seen[n]; done {
		return nil
	}
	seen[n] = true
	for _, child := range n.Content {
		if cycle := findCycle(child, seen); cycle != nil {
			return cycle
		}
	}
	seen[n] = false
	return nil
}

func isNull(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// tagged is the kind of a value such as `!name x`.
const tagged = "a value with a tag"

// kindOf says what a node is, without its text.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!str", "!!timestamp":
		return "text"
	}
	return tagged
}
