package web

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Config is the part of the configuration that the web server owns.
type Config struct {
	// Listen is the TCP address to serve on, as host:port. An empty host is
	// every interface; port 0 is a free one, told by Server.Addr.
	// Defaults to 127.0.0.1:8080, which only this machine can reach.
	Listen string `mapstructure:"listen"`
	// Hosts are the names by which browsers may reach the server, besides localhost and loopback addresses. Empty: any, and on loopback no
	// other. Defaults to none.
	Hosts []string `mapstructure:"hosts"`
}

// DefaultConfig returns the configuration of a worker that was given none.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:8080"}
}

// Validate reports what is impossible in c; the error begins with the key.
func (c Config) Validate() error {
	if c.Listen == "" {
		return errors.New("listen: must not be empty; write host:port, such as 127.0.0.1:8080")
	}
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q is not host:port, such as 127.0.0.1:8080", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("listen: the port of %q is not a number from 0 to 65535", c.Listen)
	}
	return nil
}
