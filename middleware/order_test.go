package middleware_test

import (
	"os"
	"reflect"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/middleware"
)

// The documents that list the chain list all of it, in its order.
func TestChain_DocumentsNameItInOrder(t *testing.T) {
	chain := middleware.Chain(newRig(t).Settings)
	// The compiler names a closure after its function, behind the one that it is inlined into.
	function := regexp.MustCompile(`([A-Z]\w+)\)?(?:\.Middleware)?(?:\.func\d+)*$`)
	var want []string
	for _, m := range chain {
		name := runtime.FuncForPC(reflect.ValueOf(m).Pointer()).Name()
		found := function.FindStringSubmatch(name)
		require.NotNil(t, found, name)
		want = append(want, found[1])
	}
	require.Len(t, want, 10)
	for file, row := range map[string]string{
		"doc.go":                  `(?m)^//\t(\w+) +\S`,
		"../docs/architecture.md": "(?m)^\\| `([A-Z][a-z]\\w+)` \\| ",
		"../app/doc.go":           `\b([A-Z][A-Za-z]+)\b`,
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if file == "../app/doc.go" { // one line
			text = regexp.MustCompile(`(?m)^//\thandled ─+ (.*)$`).FindSubmatch(text)[1]
		}
		var got []string
		for _, match := range regexp.MustCompile(row).FindAllSubmatch(text, -1) {
			got = append(got, string(match[1]))
		}
		require.Equal(t, want, got, file)
	}
}
