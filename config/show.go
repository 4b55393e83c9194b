package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What Show can write.
const (
	FormatYAML = "yaml" // the file that would say the same, with comments on where each value comes from
	FormatJSON = "json" // {"config":{…},"origins":{KEY:{"source":…}},"timetables":{HANDLER:"…"}}
)

// Show writes the effective configuration with passwords masked, where each value comes from, and each handler's
// Timetable. The error is that of w, or says that the format is unknown.
func (l *Loaded) Show(w io.Writer, format string) error {
	root, err := newSchema(&l.Config)
	if err != nil {
		return err
	}
	switch format {
	case FormatYAML:
		doc, err := l.yaml(root)
		if err != nil {
			return fmt.Errorf("config: encoding YAML: %w", err)
		}
		var text bytes.Buffer // the encoder would hide what w fails with
		enc := yaml.NewEncoder(&text)
		enc.SetIndent(2)
		if err := errors.Join(enc.Encode(doc), enc.Close()); err != nil {
			return fmt.Errorf("config: encoding YAML: %w", err)
		}
		_, err = text.WriteTo(w)
		return err
	case FormatJSON:
		timetables := map[string]string{}
		for name, h := range l.Config.Handlers {
			timetables[name] = Timetable(h)
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(map[string]any{"config": asJSON(root), "origins": l.Origins, "timetables": timetables})
	}
	return fmt.Errorf("config: unknown format %q: must be yaml or json", format)
}

func asJSON(n *node) any {
	if !n.section {
		return plain(n.value, shower(n.rule.secret))
	}
	m := map[string]any{}
	for _, child := range n.children {
		m[child.name] = asJSON(child)
	}
	return m
}

// yaml is the section or setting as a YAML node, in the order of the schema.
func (l *Loaded) yaml(n *node) (*yaml.Node, error) {
	if !n.section {
		var value yaml.Node
		if err := value.Encode(plain(n.value, shower(n.rule.secret))); err != nil {
			return nil, err
		}
		if value.Kind != yaml.ScalarNode {
			value.Style = yaml.FlowStyle
		} else if strings.Contains(value.Value, "\n") {
			value.Style = yaml.DoubleQuotedStyle // on one line, with its comment
		}
		value.LineComment = l.Origins[n.key].String()
		return &value, nil
	}
	m := &yaml.Node{Kind: yaml.MappingNode}
	if len(n.children) == 0 {
		m.Style = yaml.FlowStyle
	}
	for _, child := range n.children {
		var name yaml.Node
		name.SetString(child.name)
		if h, ok := l.Config.Handlers[child.name]; ok && n.noun == "handler" {
			name.HeadComment = child.name + ": " + Timetable(h)
		}
		value, err := l.yaml(child)
		if err != nil {
			return nil, err
		}
		m.Content = append(m.Content, &name, value)
	}
	return m, nil
}
