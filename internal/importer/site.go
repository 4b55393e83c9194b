package importer

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
)

// maxSite leaves room for the rest of an event's id.
const maxSite = 64

// CheckSite reports why name cannot stand before the ids of a site's posts. "" is no site, and is allowed.
func CheckSite(name string) error {
	if name == "" || len(name) <= maxSite && regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`).MatchString(name) {
		return nil
	}
	return errors.New("it must be 1 to 64 of a-z, 0-9, ., _ and -, such as math.stackexchange.com")
}

// SiteOf returns the site that a dump's path names, "" if none does: math.stackexchange.com/Posts.xml and stackoverflow.com-Posts.xml, but
// neither data/Posts.xml nor tmp.1a2b/Posts.xml. What looks like a site by chance would change the ids of all posts.
func SiteOf(path string) string {
	host := regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+(com|net|org|edu|info)$`)
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	file := strings.ToLower(filepath.Base(path))
	folder := strings.ToLower(filepath.Base(filepath.Dir(path)))
	for _, name := range []string{strings.TrimSuffix(file, ".xml"), folder} {
		name = strings.TrimSuffix(name, "-posts")
		if len(name) <= maxSite && host.MatchString(name) {
			return name
		}
	}
	return ""
}
