package config

import (
	"net/netip"
	"strings"
)

// private tells whether a URL's host is this machine or in a private network. Of a name only localhost is known to be:
// where others lead is seen when they are used. It judges as package alert does, which a test of app holds it to.
func private(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return true
	}
	for _, block := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "2001:db8::/32", // they lead to addresses of version 4, or nowhere
	} {
		if netip.MustParsePrefix(block).Contains(a) {
			return true
		}
	}
	return false
}
