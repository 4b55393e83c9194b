package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"regexp"
)

// DefaultFile is read when Options name no file, if it exists.
const DefaultFile = "worker.yaml"

// Options say where a configuration comes from.
type Options struct {
	// File is the YAML file, which must exist. Defaults to DefaultFile if that exists, else to no file.
	File string
	// Environ holds "NAME=value" as os.Environ does, which nil stands for; an empty slice is no variables.
	Environ []string
	// Handlers are the ones that the program has; others in the configuration are unknown.
	Handlers []HandlerDecl
	// Overrides are the settings of the command line by key ("web.listen"): text as in a variable, or a value that
	// prints as that text. They go before everything else.
	Overrides map[string]any
}

// HandlerDecl tells of a handler that can be configured.
type HandlerDecl struct {
	// Name is 1 to 60 of a-z, 0-9 and "-".
	Name string
	// Defaults hold where the user says nothing; its Options are not looked at. The zero Handler is DefaultHandler.
	Defaults Handler
	// Options is a pointer to the handler's own settings with their defaults, or nil for a handler without any. It
	// is not changed: Load puts a filled copy into Handler.Options. The struct may hold text, numbers, booleans,
	// durations, types that read themselves from text, structs, and lists and string-keyed maps of those, with
	// the tags of the package comment. If it has the method Validate() error, Load reports what that returns, so the
	// error must not quote a secret.
	Options any
}

// Loaded is a valid configuration, and where each of its values comes from.
type Loaded struct {
	Config  Config
	File    string            // the file that was read; "" for none
	Origins map[string]Origin // by key: "web.listen", "handlers.feed.options.window"
	// Warnings are what is valid and hardly meant; a program should show them.
	Warnings Problems
}

// Load reads the configuration: defaults, then the file, then variables, then overrides, the later before the
// earlier. What the user got wrong comes back as Problems, all of it, also where another source goes before the
// wrong value; any other error is a mistake in o.Handlers.
func Load(o Options) (*Loaded, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	file, data, problem := open(o.File)
	return load(o, file, data, problem)
}

// open finds and reads the file; "" when there is none and none was asked for.
func open(file string) (string, []byte, *Problem) {
	asked := file != ""
	if !asked {
		file = DefaultFile
	}
	data, err := readFile(file)
	switch {
	case err == nil:
		return file, data, nil
	case !asked && errors.Is(err, fs.ErrNotExist):
		return "", nil, nil
	}
	return file, nil, &Problem{File: file, Message: fmt.Sprintf("cannot be read: %v", err)}
}

// load is Load with the file's bytes in hand, or with the reason why they are not.
func load(o Options, file string, data []byte, unreadable *Problem) (*Loaded, error) {
	base, err := declared(o.Handlers)
	if err != nil {
		return nil, err
	}
	root, err := newSchema(&base)
	if err != nil {
		return nil, err
	}
	for n := range root.settings() {
		if err := n.allowed(); err != nil {
			return nil, fmt.Errorf("config: the default of %s %w", n.key, err)
		}
	}

	r := reader{file: file, layer: layer{}}
	if unreadable == nil {
		unreadable = r.read(data, root)
	}
	env, envProblems := environment(root, o.Environ)
	args, argProblems := flags(root, o.Overrides)
	problems := append(append(r.problems, envProblems...), argProblems...)

	cfg, origins, err := merge(&base, root, r.layer, env, args)
	if err != nil {
		return nil, err
	}
	if unreadable != nil {
		problems = append(problems, *unreadable)
	} else { // without what the file says, keys may seem to contradict each other
		problems = append(problems, crossCheck(cfg, file, origins, problems)...)
	}
	if len(problems) > 0 {
		return nil, problems.sorted()
	}
	return &Loaded{Config: *cfg, File: file, Origins: origins, Warnings: unused(cfg, origins)}, nil
}

var handlerName = regexp.MustCompile(`^[a-z0-9-]{1,60}$`)

// declared is the default configuration with the handlers that a program has, each with options of its own.
func declared(handlers []HandlerDecl) (Config, error) {
	c := Default()
	for _, d := range handlers {
		if !handlerName.MatchString(d.Name) {
			return c, fmt.Errorf("config: handler name %q: must be 1 to 60 of a-z, 0-9 and -", d.Name)
		}
		if _, twice := c.Handlers[d.Name]; twice {
			return c, fmt.Errorf("config: two handlers are named %q", d.Name)
		}
		h := d.Defaults
		h.Options = nil
		if reflect.ValueOf(h).IsZero() {
			h = DefaultHandler()
		}
		h.Options = d.Options
		if v := reflect.ValueOf(d.Options); v.Kind() == reflect.Pointer && !v.IsNil() {
			own := reflect.New(v.Type().Elem())
			own.Elem().Set(v.Elem())
			h.Options = own.Interface()
		}
		c.Handlers[d.Name] = h
	}
	return c, nil
}

// allowed checks the value that a setting has in the schema's Config.
func (n *node) allowed() error {
	t := n.value.Type()
	switch {
	case isScalar(t):
		return n.rule.allows(n.value)
	case t.Kind() == reflect.Slice && isScalar(t.Elem()):
		for i := range n.value.Len() {
			if err := n.rule.allows(n.value.Index(i)); err != nil {
				return err
			}
		}
	}
	return nil
}
