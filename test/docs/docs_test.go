// Package docs_test holds the documents to what the program does: keys and
// defaults, metrics, commands, links.
package docs_test

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/handlers"
)

// read returns the text of a file of the repository, by its path from the top.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	require.NoError(t, err)
	return string(text)
}

// documents are the paths of all documents.
func documents(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		require.NoError(t, err)
		for _, f := range found {
			paths = append(paths, strings.TrimPrefix(filepath.ToSlash(f), "../../"))
		}
	}
	require.Greater(t, len(paths), 5)
	return paths
}

// setting is what the code says of a key.
type setting struct{ key, fallback, values, variable string }

// cells is the beginning of the setting's row in docs/configuration.md.
func (s setting) cells() string {
	return fmt.Sprintf("| %#q | %#q | %s | %#q |", s.key, s.fallback, s.values, s.variable)
}

// settings lists the keys below a section, from the tags of the structs that
// are the schema.
func settings(section reflect.Value, prefix string) (all []setting) {
	for i := range section.NumField() {
		field, value := section.Type().Field(i), section.Field(i)
		key := prefix + field.Tag.Get("yaml")
		switch {
		case field.Type == reflect.TypeFor[map[string]config.Handler]():
			all = append(all, settings(reflect.ValueOf(config.DefaultHandler()), key+".NAME.")...)
		case field.Type.Kind() == reflect.Struct:
			all = append(all, settings(value, key+".")...)
		case field.Type.Kind() != reflect.Interface: // not a handler's own options
			all = append(all, setting{
				key: key, fallback: text(value), values: values(field),
				variable: "WORKER_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_")),
			})
		}
	}
	return all
}

// text is a default as one writes it in YAML.
func text(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		s := value.String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return s
	case []time.Duration:
		var list []string
		for i := range value {
			list = append(list, text(v.Index(i)))
		}
		return "[" + strings.Join(list, ", ") + "]"
	case string:
		if value == "" {
			return `""`
		}
	}
	return fmt.Sprint(v.Interface())
}

// values says which values a field may have.
func values(field reflect.StructField) string {
	if words := field.Tag.Get("oneof"); words != "" {
		return "`" + strings.ReplaceAll(words, ",", "`, `") + "`"
	}
	bounds := strings.ReplaceAll(field.Tag.Get("range"), "..", " to ")
	switch field.Type.Kind() {
	case reflect.Bool:
		return "`true`, `false`"
	case reflect.Slice:
		if bounds == "" {
			return "list of texts"
		}
		return "list, each " + bounds
	case reflect.String:
		return "text"
	}
	return bounds
}

func TestConfiguration_IsDocumented(t *testing.T) {
	want := settings(reflect.ValueOf(config.Default()), "")
	doc := read(t, "docs/configuration.md")
	byKey := map[string]setting{}
	environ, keys := []string{}, []string{}
	for _, s := range want {
		require.Equal(t, 1, strings.Count(doc, "\n"+s.cells()+" "), "docs/configuration.md needs, once, the row\n%s", s.cells())
		byKey[s.key] = s
		keys = append(keys, strings.Replace(s.key, ".NAME.", ".feed.", 1))
		environ = append(environ, strings.Replace(s.variable, "_NAME_", "_FEED_", 1)+"="+strings.Trim(s.fallback, `[]"`))
	}

	// What the documents say is what the program takes.
	loaded, err := config.Load(config.Options{Environ: environ, Handlers: []config.HandlerDecl{{Name: "feed"}}})
	require.NoError(t, err)
	require.ElementsMatch(t, keys, slices.Collect(maps.Keys(loaded.Origins)))
	for i, key := range keys {
		require.Equal(t, strings.Replace(want[i].variable, "_NAME_", "_FEED_", 1), loaded.Origins[key].Env)
	}

	row := regexp.MustCompile("(?m)^\\| `([a-zA-Z_.]+)` \\| `([^`]*)` \\|")
	for _, path := range []string{"README.md", "docs/configuration.md"} {
		for _, cells := range row.FindAllStringSubmatch(read(t, path), -1) {
			require.Equal(t, byKey[cells[1]].fallback, cells[2], "%s: the default of %s", path, cells[1])
		}
	}
}

func TestMetrics_AreDocumented(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docs.db")
	loaded, err := config.Load(config.Options{Environ: []string{}, Handlers: app.Declare(handlers.All()), Overrides: map[string]any{
		"transport.sql.dsn": file, "database.dsn": file, "web.listen": "127.0.0.1:0",
	}})
	require.NoError(t, err)
	registry := prometheus.NewRegistry()
	a, err := app.New(t.Context(), app.Options{
		Config: loaded.Config, Handlers: handlers.All(), Registry: registry, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop(t.Context())) }()

	descs := make(chan *prometheus.Desc, 1000)
	registry.Describe(descs)
	close(descs)
	var names []string
	for d := range descs {
		if name := regexp.MustCompile(`"(answerfeed_\w+)"`).FindStringSubmatch(d.String()); name != nil {
			names = append(names, name[1])
		}
	}
	documented := regexp.MustCompile("(?m)^\\| `(answerfeed_\\w+)`").FindAllStringSubmatch(read(t, "docs/operations.md"), -1)
	var got []string
	for _, d := range documented {
		got = append(got, d[1])
	}
	require.ElementsMatch(t, names, got, "the metrics in docs/operations.md")
}

// commands finds the command lines of the worker and of make, in blocks of
// code and inline.
func commands(document string) (found []string) {
	inline := regexp.MustCompile("`([^`\n]+)`")
	block := false
	for line := range strings.Lines(document) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			block = !block
			continue
		}
		candidates := []string{line}
		if !block {
			candidates = inline.FindAllString(line, -1)
		}
		for _, c := range candidates {
			c, _, _ = strings.Cut(strings.Trim(c, "` \n"), " #")
			if regexp.MustCompile(`^(go run \./cmd/worker|worker|make) `).MatchString(c) {
				found = append(found, c)
			}
		}
	}
	return found
}

func TestCommands_Exist(t *testing.T) {
	worker := filepath.Join(t.TempDir(), "worker")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", worker, "../../cmd/worker").CombinedOutput()
	require.NoError(t, err, "%s", out)
	makefile := read(t, "Makefile")

	for _, path := range documents(t) {
		for _, command := range commands(read(t, path)) {
			words := strings.Fields(strings.TrimPrefix(command, "go run ./cmd/"))
			if words[0] == "make" {
				require.Contains(t, makefile, "\n"+words[1]+":", "%s: %s", path, command)
				continue
			}
			verb := []string{"worker"}
			for _, w := range words[1:] {
				if !regexp.MustCompile(`^[a-z]+$`).MatchString(w) {
					break
				}
				verb = append(verb, w)
			}
			// Flags that do not exist fail, and another verb's help does not name this one.
			help, err := exec.CommandContext(t.Context(), worker, append(words[1:], "--help")...).CombinedOutput()
			require.NoError(t, err, "%s: %s\n%s", path, command, help)
			require.Contains(t, string(help), "Usage:\n  "+strings.Join(verb, " "), "%s: %s", path, command)
		}
	}
}

func TestLinks_LeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, path := range documents(t) {
		for _, target := range link.FindAllStringSubmatch(read(t, path), -1) {
			require.FileExists(t, filepath.Join("..", "..", filepath.Dir(path), target[1]), "a link in %s", path)
		}
	}
}

func TestDependencies_AreDocumented(t *testing.T) {
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, "go.mod"), -1)
	require.NotEmpty(t, direct)
	doc := read(t, "docs/dependencies.md")
	for _, module := range direct {
		require.Contains(t, doc, "`"+module[1]+"`", "docs/dependencies.md needs a row, with a reason")
	}
}
