package config_test

import (
	"errors"
	"fmt"

	"github.com/answerfeed/answerfeed/config"
)

// A program reads worker.yaml, and variables such as WORKER_WEB_LISTEN before the file.
func ExampleLoad() {
	loaded, err := config.Load(config.Options{
		Environ:  []string{"WORKER_WEB_LISTEN=127.0.0.1:9000"},
		Handlers: []config.HandlerDecl{{Name: "feed"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loaded.Config.Web.Listen, loaded.Config.Transport.Kind)
	// Output: 127.0.0.1:9000 sql
}

// What is wrong comes back whole, with the place of each problem.
func ExampleProblems() {
	_, err := config.Load(config.Options{Environ: []string{"WORKER_TRANSPORT_KIND=kafka"}})
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Println(p.Env, p.Key)
		}
	}
	// Output: WORKER_TRANSPORT_KIND transport.kind
}
