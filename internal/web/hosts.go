package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// hosts keeps other sites out that lead a browser here under a name of their own (DNS rebinding): a server on loopback is reached by the
// browsers of its machine, whatever page they show, and that page could read all that is served. A browser tells the name in Host.
type hosts struct {
	checked bool
	names   []string // in lower case
}

// newHosts checks on loopback, and where names are given.
func newHosts(listener net.Addr, names []string) hosts {
	h := hosts{checked: len(names) > 0}
	if at, err := netip.ParseAddrPort(listener.String()); err == nil && at.Addr().Unmap().IsLoopback() {
		h.checked = true
	}
	for _, name := range names {
		h.names = append(h.names, bareHost(name))
	}
	return h
}

// knows reports that a request with this Host is meant for this server. Without one it comes from no browser.
func (h hosts) knows(host string) bool {
	if !h.checked || host == "" {
		return true
	}
	host = bareHost(host)
	if address, err := netip.ParseAddr(host); err == nil && address.Unmap().IsLoopback() {
		return true
	}
	return host == "localhost" || slices.Contains(h.names, host)
}

// bareHost is a host without port, brackets and the dot at its end, in lower case.
func bareHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// known answers only requests that are meant for this server.
func (s *Server) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.hosts.knows(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		s.errorJSON(w, r, newProblem(http.StatusMisdirectedRequest, "This server does not know itself by the host of this address. If it is meant, add the host to web.hosts."))
	})
}
