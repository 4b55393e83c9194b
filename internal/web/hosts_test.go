package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/web"
)

func TestAnotherSitesNameIsRefusedOnLoopback(t *testing.T) {
	ask := func(s *site, path, host string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.server.Addr()+path, nil)
		require.NoError(t, err)
		req.Host = host
		resp, err := s.client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	loopback := newSite(t)
	named := newSite(t, func(o *web.Options) { o.Config.Hosts = []string{"Answers.example", "192.0.2.7:8080"} })
	everywhere := newSite(t, func(o *web.Options) { o.Config.Listen = "0.0.0.0:0" })
	chosen := newSite(t, func(o *web.Options) { o.Config.Listen, o.Config.Hosts = "0.0.0.0:0", []string{"answers.example"} })
	for host, want := range map[string][4]int{ // on loopback, on loopback with names, everywhere, everywhere with names
		"localhost": {200, 200, 200, 200}, "LocalHost.:8080": {200, 200, 200, 200}, "127.0.0.1": {200, 200, 200, 200}, "127.8.9.1:80": {200, 200, 200, 200},
		"[::1]": {200, 200, 200, 200}, "[::1]:8080": {200, 200, 200, 200}, "evil.example": {421, 421, 200, 421}, "evil.example:8080": {421, 421, 200, 421},
		"localhost.evil.example": {421, 421, 200, 421}, "127.0.0.1.evil.example": {421, 421, 200, 421}, "192.0.2.7": {421, 200, 200, 421}, "answers.EXAMPLE:443": {421, 200, 200, 200},
		"0.0.0.0": {421, 421, 200, 421}, "[::ffff:127.0.0.1]": {200, 200, 200, 200},
	} {
		for _, path := range []string{"/", "/api/feed", "/metrics", "/livez"} {
			require.Equal(t, want, [4]int{ask(loopback, path, host), ask(named, path, host), ask(everywhere, path, host), ask(chosen, path, host)}, host+path)
		}
	}
}
