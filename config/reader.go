package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A setting is one value and where it comes from; a layer is what one source sets, by key.
type (
	setting struct {
		value  reflect.Value
		origin Origin
	}
	layer map[string]setting
)

// reader turns a YAML document into a layer, and goes on after a mistake, so that one reading finds them all.
type reader struct {
	file     string
	layer    layer
	problems Problems
	visited  int
}

// maxVisited bounds the values that are read: aliases let a small file stand for a great many.
const maxVisited = 1 << 17

func (r *reader) complain(n *yaml.Node, key, format string, args ...any) {
	r.problems = append(r.problems, r.origin(n).problem(key, fmt.Sprintf(format, args...)))
}

func (r *reader) origin(n *yaml.Node) Origin {
	return Origin{Source: SourceFile, File: r.file, Line: n.Line, Column: n.Column}
}

// read reads a file's bytes. The problem is one for which nothing of the file can be read.
func (r *reader) read(data []byte, root *node) *Problem {
	doc, problem := document(r.file, data)
	if doc != nil {
		r.section(doc, root)
	}
	return problem
}

// section reads the settings below s. An empty section is one whose keys are all commented out.
func (r *reader) section(n *yaml.Node, s *node) {
	if isNull(n) {
		return
	}
	for _, p := range r.pairs(n, s.key) {
		child := s.child(p.name)
		switch {
		case child == nil:
			r.complain(p.at, p.key, "unknown %s%s", s.noun, hint(p.name, s))
		case child.section:
			r.section(p.value, child)
		default:
			if v, ok := r.value(p.value, child.value.Type(), child.key, child.rule); ok {
				r.layer[child.key] = setting{v, r.origin(p.value)}
			}
		}
	}
}

// value reads a value of type t; ok is false when that was a mistake, which is reported.
func (r *reader) value(n *yaml.Node, t reflect.Type, key string, rule rule) (v reflect.Value, ok bool) {
	if r.visited++; r.visited >= maxVisited {
		if r.visited == maxVisited {
			r.complain(n, key, "too many values, most of them by aliases")
		}
		return v, false
	}
	at := n // problems name the place of the alias, not of what it stands for
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case isNull(n):
		r.complain(at, key, "has no value: leave the key out for its default")
		return v, false
	case isScalar(t):
		return r.scalar(n, at, t, key, rule)
	case t.Kind() == reflect.Slice:
		return r.list(n, at, t, key, rule)
	case t.Kind() == reflect.Map:
		return r.mapping(at, t, key, rule)
	}
	return r.structure(at, t, key)
}

func (r *reader) scalar(n, at *yaml.Node, t reflect.Type, key string, rule rule) (reflect.Value, bool) {
	if n.Kind != yaml.ScalarNode || !fits(n.ShortTag(), t) {
		switch kind := kindOf(n); {
		case n.Kind != yaml.ScalarNode || kind == tagged:
			r.complain(at, key, "must be %s, not %s", wanted(t), kind)
		case t.Kind() == reflect.String:
			r.complain(at, key, "must be text, not %s: put it in quotes", kind)
		case n.Style&^yaml.TaggedStyle != 0: // quotes made it text, and it may look right
			r.complain(at, key, "must be %s, not text in quotes", wanted(t))
		default:
			r.complain(at, key, "%s", complaint(fmt.Errorf("must be %s", wanted(t)), n.Value, rule))
		}
		return reflect.Value{}, false
	}
	v, err := scalar(n.Value, t, rule)
	if err != nil {
		r.complain(at, key, "%s", complaint(err, n.Value, rule))
	}
	return v, err == nil
}

// fits tells whether a scalar that YAML takes for tag can be of type t.
func fits(tag string, t reflect.Type) bool {
	switch {
	case isText(t):
		return true
	case isDuration(t):
		return tag == "!!str" || tag == "!!int" // 0 needs no unit
	}
	switch t.Kind() {
	case reflect.String:
		return tag == "!!str" || tag == "!!timestamp" // a date is text to everybody but YAML
	case reflect.Bool:
		return tag == "!!bool"
	case reflect.Float32, reflect.Float64:
		return tag == "!!float" || tag == "!!int"
	}
	return tag == "!!int"
}

func (r *reader) list(n, at *yaml.Node, t reflect.Type, key string, rule rule) (reflect.Value, bool) {
	if n.Kind != yaml.SequenceNode {
		r.complain(at, key, "must be %s, not %s", wanted(t), kindOf(n))
		return reflect.Value{}, false
	}
	list, good := reflect.MakeSlice(t, 0, len(n.Content)), true
	for i, elem := range n.Content {
		v, ok := r.value(elem, t.Elem(), fmt.Sprintf("%s[%d]", key, i), rule)
		if good = good && ok; good {
			list = reflect.Append(list, v)
		}
	}
	return list, good
}

func (r *reader) mapping(n *yaml.Node, t reflect.Type, key string, rule rule) (reflect.Value, bool) {
	before := len(r.problems)
	m := reflect.MakeMap(t)
	for _, p := range r.pairs(n, key) {
		if v, ok := r.value(p.value, t.Elem(), p.key, rule); ok {
			m.SetMapIndex(reflect.ValueOf(p.name).Convert(t.Key()), v)
		}
	}
	return m, len(r.problems) == before
}

// structure reads a struct that stands in a list or a map.
func (r *reader) structure(n *yaml.Node, t reflect.Type, key string) (reflect.Value, bool) {
	before := len(r.problems)
	v := reflect.New(t).Elem()
	s := &node{key: key, value: v, noun: "option", option: true}
	if err := s.grow(""); err != nil {
		r.complain(n, key, "%v", err)
		return v, false
	}
	inner := &reader{file: r.file, layer: layer{}, visited: r.visited}
	inner.section(n, s)
	inner.layer.apply(s)
	r.problems, r.visited = append(r.problems, inner.problems...), inner.visited
	return v, len(r.problems) == before
}

// apply sets the values below s, which can be set: a handler's options.
func (l layer) apply(s *node) {
	for n := range s.settings() {
		if set, ok := l[n.key]; ok && n.option {
			n.value.Set(set.value)
		}
	}
}

type pair struct {
	name, key string
	at, value *yaml.Node // of the key, and what it is set to
}

// pairs are the keys of a mapping with their values, each key once.
func (r *reader) pairs(n *yaml.Node, key string) []pair {
	at := n
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		r.complain(at, key, "must be a mapping, not %s", kindOf(n))
		return nil
	}
	var pairs []pair
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		p := pair{name: k.Value, at: k, value: n.Content[i+1]}
		p.key = strings.TrimPrefix(key+"."+printable(p.name), ".")
		line, again := first[p.name]
		switch {
		case k.Kind != yaml.ScalarNode || isNull(k):
			r.complain(k, key, "a key must be a word, not %s", kindOf(k))
		case k.ShortTag() == "!!merge":
			r.complain(k, key, "merge keys (<<) are not understood: an alias can stand for a whole mapping")
		case again:
			r.complain(k, p.key, "duplicate key: the first is in line %d", line)
		default:
			first[p.name] = k.Line
			pairs = append(pairs, p)
		}
	}
	return pairs
}
