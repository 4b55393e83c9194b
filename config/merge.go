package config

import (
	"fmt"
	"maps"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// merge lays the sources over the defaults in base, whose keys root lists. Viper does it, with values of their
// final types and under keys that are all lower case: its readers of files and variables would lower-case keys,
// know neither positions nor _FILE, and turn "many" into 0. A handler's options, whose keys are not ours to
// restrict, go past it.
func merge(base *Config, root *node, file, env, flags layer) (*Config, map[string]Origin, error) {
	v := viper.New()
	origins := map[string]Origin{}
	for n := range root.settings() {
		origins[n.key] = Origin{Source: SourceDefault}
		if !n.option {
			v.SetDefault(n.key, n.value.Interface())
		}
	}
	for _, l := range []layer{file, env} {
		if err := v.MergeConfigMap(l.nested(root)); err != nil {
			return nil, nil, fmt.Errorf("config: merging: %w", err)
		}
	}
	for n := range root.settings() {
		if set, ok := flags[n.key]; ok && !n.option {
			v.Set(n.key, set.value.Interface())
		}
	}
	var c Config
	if err := v.UnmarshalExact(&c, func(d *mapstructure.DecoderConfig) {
		d.TagName, d.WeaklyTypedInput, d.DecodeHook = "yaml", false, nil
	}); err != nil {
		return nil, nil, fmt.Errorf("config: merging: %w", err)
	}
	handlers := map[string]Handler{}
	maps.Copy(handlers, c.Handlers)
	c.Handlers = handlers

	for _, l := range []layer{file, env, flags} {
		l.apply(root)
		for key, set := range l {
			origins[key] = set.origin
		}
	}
	for name, h := range c.Handlers {
		h.Options = base.Handlers[name].Options
		c.Handlers[name] = h
	}
	return &c, origins, nil
}

// nested is the layer as the tree of maps that viper merges, without handlers' options.
func (l layer) nested(root *node) map[string]any {
	tree := map[string]any{}
	for n := range root.settings() {
		set, ok := l[n.key]
		if !ok || n.option {
			continue
		}
		names := strings.Split(n.key, ".")
		branch := tree
		for _, name := range names[:len(names)-1] {
			next, ok := branch[name].(map[string]any)
			if !ok {
				next = map[string]any{}
				branch[name] = next
			}
			branch = next
		}
		branch[n.name] = set.value.Interface()
	}
	return tree
}
