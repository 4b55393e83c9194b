package outside_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What another module can import is what docs/api.md lists, no more, and each
// package has examples.
func TestPublicPackages_AreThoseOfTheList(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "api.md"))
	require.NoError(t, err)
	var listed, public []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, row[1])
	}
	for path := range strings.FieldsSeq(run(t, root, "go", "list", "./...")) {
		path = strings.TrimPrefix(path, project+"/")
		ofNobody := func(room string) bool { return strings.HasPrefix(path, room) || strings.Contains(path, "/"+room) }
		if !slices.ContainsFunc([]string{"internal/", "cmd/", "examples/", "test/"}, ofNobody) {
			public = append(public, path)
		}
	}
	require.ElementsMatch(t, listed, public)
	for _, path := range public {
		text, err := os.ReadFile(filepath.Join(root, path, "example_test.go"))
		require.NoError(t, err)
		require.Regexp(t, `(?m)^func Example`, string(text), path)
	}
}
