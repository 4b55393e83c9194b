package config

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
)

const (
	envPrefix   = "WORKER_"
	fileSuffix  = "_FILE"        // a variable's name with it names a file that holds the value
	testsPrefix = "WORKER_TEST_" // belongs to the project's tests
)

// A node is one key of a Config: a section with keys below it, or a setting with a value.
type node struct {
	name   string
	key    string        // the names from the root on: "handlers.feed.retry"; "" for the root
	value  reflect.Value // in the Config that the schema was made of
	option bool          // at or below a handler's options: the value can be set

	section  bool
	children []*node // of a section, in the order of the struct
	noun     string  // what a section's children are called in messages

	rule rule   // of a setting
	env  string // of a setting: the variable; "" for the few that only a file can hold
}

// newSchema lists the keys of c. The errors are mistakes of programs, not of users: in tags and in options types.
func newSchema(c *Config) (*node, error) {
	root := &node{value: reflect.ValueOf(c).Elem(), noun: "key"}
	if err := root.grow(""); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	owner := map[string]string{}
	for n := range root.settings() {
		if n.env == "" {
			continue
		}
		for _, name := range []string{n.env, n.env + fileSuffix} {
			if other, taken := owner[name]; taken {
				return nil, fmt.Errorf("config: %s and %s would share the variable %s: rename one", other, n.key, name)
			}
			owner[name] = n.key
		}
	}
	return root, nil
}

// grow makes n a section or a setting, by the type of its value.
func (n *node) grow(tag reflect.StructTag) error {
	t := n.value.Type()
	switch {
	case t == reflect.TypeFor[map[string]Handler]():
		n.section, n.noun = true, "handler"
		handlers := n.value.Interface().(map[string]Handler)
		for _, name := range slices.Sorted(maps.Keys(handlers)) {
			if err := n.add(name, reflect.ValueOf(handlers[name]), ""); err != nil {
				return err
			}
		}
		return nil
	case t.Kind() == reflect.Interface && !n.option: // Handler.Options
		n.section, n.noun, n.option = true, "option", true
		if n.value.IsNil() {
			return nil
		}
		target := n.value.Elem()
		if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
			return fmt.Errorf("%s: must be a pointer to a struct, not %v", n.key, target.Type())
		}
		return n.addFields(target.Elem())
	case t.Kind() == reflect.Struct && !isText(t):
		n.section = true
		return n.addFields(n.value)
	}
	return n.setting(tag)
}

func (n *node) addFields(v reflect.Value) error {
	for f := range fields(v) {
		if err := n.add(f.name, f.value, f.tag); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) add(name string, v reflect.Value, tag reflect.StructTag) error {
	child := &node{name: name, key: name, value: v, option: n.option, noun: "key"}
	if n.key != "" {
		child.key = n.key + "." + name
	}
	if n.option {
		child.noun = "option"
	}
	n.children = append(n.children, child)
	return child.grow(tag)
}

// setting makes n a setting, if its type is one that a file can express.
func (n *node) setting(tag reflect.StructTag) error {
	t := n.value.Type()
	elem := t
	for elem.Kind() == reflect.Slice && !isText(elem) || elem.Kind() == reflect.Map && elem.Key().Kind() == reflect.String {
		elem = elem.Elem()
	}
	switch {
	case isScalar(elem):
		if elem == t || t.Kind() == reflect.Slice && t.Elem() == elem {
			n.env = variable(n.key)
		}
	case elem.Kind() == reflect.Struct:
		const deepest = 8 // also ends a type that contains itself
		if strings.Count(n.key, "[]") == deepest {
			return fmt.Errorf("%s: nested too deeply", n.key)
		}
		if err := (&node{key: n.key + "[]", value: reflect.Zero(elem), option: n.option}).grow(""); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s: a setting cannot be of type %v", n.key, t)
	}
	var err error
	if n.rule, err = newRule(tag, elem); err != nil {
		return fmt.Errorf("%s: %w", n.key, err)
	}
	return nil
}

// variable is the environment variable that sets a key.
func variable(key string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// settings are the keys with values at and below n.
func (n *node) settings() iter.Seq[*node] {
	return func(yield func(*node) bool) { n.walk(yield) }
}

func (n *node) walk(yield func(*node) bool) bool {
	if !n.section {
		return yield(n)
	}
	for _, child := range n.children {
		if !child.walk(yield) {
			return false
		}
	}
	return true
}

func (n *node) child(name string) *node {
	for _, child := range n.children {
		if child.name == name {
			return child
		}
	}
	return nil
}

type field struct {
	name  string
	value reflect.Value
	tag   reflect.StructTag
}

// fields are the exported fields of a struct by the names of their keys.
func fields(v reflect.Value) iter.Seq[field] {
	return func(yield func(field) bool) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			if !yield(field{name, v.Field(i), f.Tag}) {
				return
			}
		}
	}
}
