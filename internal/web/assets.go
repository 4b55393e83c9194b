package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed assets templates
var files embed.FS

// assets are the static files by the name they are served under, which holds a
// hash of the content: a browser may keep such a file for ever, and a new
// release has new names.
type assets struct {
	byName map[string][]byte
	// Paths for the layout's links.
	Style, Icon string
}

func loadAssets() (assets, error) {
	a := assets{byName: map[string][]byte{}}
	var err error
	if a.Style, err = a.load("style.css"); err != nil {
		return assets{}, err
	}
	if a.Icon, err = a.load("icon.svg"); err != nil {
		return assets{}, err
	}
	return a, nil
}

// load reads one file and returns its path on the server: style.css becomes
// /assets/style.0123456789ab.css.
func (a assets) load(name string) (string, error) {
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	hashed := fmt.Sprintf("%s.%s%s", strings.TrimSuffix(name, ext), hex.EncodeToString(sum[:6]), ext)
	a.byName[hashed] = content
	return "/assets/" + hashed, nil
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	content, found := s.assets.byName[name]
	if !found {
		return newProblem(http.StatusNotFound, "There is nothing at this address.")
	}
	// Named here, because the system's own table of types differs by machine.
	contentType := "text/css; charset=utf-8"
	if path.Ext(name) == ".svg" {
		contentType = "image/svg+xml"
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(content)
	return nil
}
