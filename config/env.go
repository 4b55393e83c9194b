package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// environment reads the variables that set keys below root. Unknown ones are problems, as in a file: a misspelt
// variable that silently does nothing is found in production.
func environment(root *node, environ []string) (layer, Problems) {
	vars := map[string]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if _, again := vars[name]; !again && strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, testsPrefix) {
			vars[name] = value
		}
	}
	l := layer{}
	var problems Problems
	var known []string
	for n := range root.settings() {
		if n.env == "" {
			if name := variable(n.key); vars[name] != "" {
				delete(vars, name)
				problems = append(problems, Problem{Env: name, Key: n.key, Message: "no variable can set this key, only the file"})
			}
			continue
		}
		known = append(known, n.env, n.env+fileSuffix)
		name, text, err := variableText(vars, n.env)
		delete(vars, n.env)
		delete(vars, n.env+fileSuffix)
		if name == "" {
			continue
		}
		origin := Origin{Source: SourceEnvironment, Env: name}
		if err != nil {
			problems = append(problems, origin.problem(n.key, err.Error()))
			continue
		}
		v, problem := fromText(text, n)
		if problem != "" {
			problems = append(problems, origin.problem(n.key, problem))
			continue
		}
		l[n.key] = setting{v, origin}
	}
	for name := range vars {
		message := "unknown variable"
		if near := nearest(name, known); near != "" {
			message = fmt.Sprintf("unknown variable (did you mean %s?)", near)
		}
		problems = append(problems, Problem{Env: name, Message: message})
	}
	return l, problems
}

// variableText is what the variable env, or the file that env_FILE names, holds, and which of the two was set;
// "" for neither.
func variableText(vars map[string]string, env string) (name, text string, err error) {
	text, direct := vars[env]
	file, indirect := vars[env+fileSuffix]
	switch {
	case direct && indirect:
		return env, "", fmt.Errorf("%s is set too: set one of the two", env+fileSuffix)
	case direct:
		return env, text, nil
	case indirect:
		data, err := readFile(file)
		if err != nil {
			return env + fileSuffix, "", fmt.Errorf("reading the file it names: %w", err)
		}
		return env + fileSuffix, strings.TrimRight(string(data), "\r\n"), nil
	}
	return "", "", nil
}

// fromText reads the text of a variable or flag as the value of n: a list has commas between its elements.
func fromText(text string, n *node) (v reflect.Value, problem string) {
	t := n.value.Type()
	if isScalar(t) {
		v, err := scalar(text, t, n.rule)
		if err != nil {
			return v, complaint(err, text, n.rule)
		}
		return v, ""
	}
	list := reflect.MakeSlice(t, 0, 0)
	if strings.TrimSpace(text) == "" {
		return list, ""
	}
	for i, part := range slices.All(strings.Split(text, ",")) {
		part = strings.TrimSpace(part)
		elem, err := scalar(part, t.Elem(), n.rule)
		if err != nil {
			if perhapsSecret(text) { // then a part of it is not safe either
				part = text
			}
			return list, fmt.Sprintf("element %d %s", i+1, complaint(err, part, n.rule))
		}
		list = reflect.Append(list, elem)
	}
	return list, ""
}

// flags reads the settings of the command line, each as text, or as a value that prints as its text.
func flags(root *node, overrides map[string]any) (layer, Problems) {
	l := layer{}
	var problems Problems
	origin := Origin{Source: SourceFlag}
	known := map[string]bool{}
	for n := range root.settings() {
		given, ok := overrides[n.key]
		if !ok || n.env == "" {
			continue
		}
		known[n.key] = true
		v, problem := fromText(flagText(given), n)
		if problem != "" {
			problems = append(problems, origin.problem(n.key, problem))
			continue
		}
		l[n.key] = setting{v, origin}
	}
	for key := range overrides {
		if !known[key] {
			problems = append(problems, origin.problem(key, "no flag can set this key"))
		}
	}
	return l, problems
}

func flagText(given any) string {
	v := reflect.ValueOf(given)
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(given)
	}
	texts := make([]string, v.Len())
	for i := range texts {
		texts[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(texts, ",")
}
