package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/answerfeed/answerfeed/app/database"
)

// Target is the broker and the database of a run.
type Target struct {
	// Name is for the report.
	Name string
	// AMQP is a broker's URL; "" = the queues are in SQL, in Queues.
	AMQP       string
	ServerName string // in the broker's certificate; "" = the URL's host
	Prefix     string // as configured
	Queues     database.Config
	// Tables is where effects and letters go.
	Tables database.Config
	// Settings lead to it, beside what was configured.
	Settings map[string]string
	// Silence is after how long a worker that says nothing has lost its
	// messages to others.
	Silence time.Duration
}

// place is what a run has there of its own: a schema, a file, a prefix.
type place struct {
	tables database.Config
	// direct are the settings that lead there; proxied lead there by way of
	// the proxies.
	direct, proxied map[string]string
	proxies         []*Proxy
	undos           []func(context.Context) error
}

func (p *place) undo(step func(context.Context) error) { p.undos = append(p.undos, step) }

// putAway undoes in reverse, and goes on after an error.
func (p *place) putAway(ctx context.Context) error {
	var errs []error
	for i := len(p.undos) - 1; i >= 0; i-- {
		errs = append(errs, p.undos[i](ctx))
	}
	p.undos = nil
	return errors.Join(errs...)
}

// setUp makes a place on the target, with proxies if connections are to be
// cut.
func setUp(ctx context.Context, t Target, proxies bool) (_ *place, err error) {
	name := strings.ToLower(rand.Text()[:8])
	p := &place{direct: map[string]string{}, proxied: map[string]string{}}
	maps.Copy(p.direct, t.Settings)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.putAway(context.WithoutCancel(ctx)))
		}
	}()
	made := map[string]database.Config{} // by DSN: queues and tables may share one
	for section, cfg := range map[string]database.Config{"database.": t.Tables, "transport.sql.": t.Queues} {
		if section == "transport.sql." && t.AMQP != "" {
			continue
		}
		own, again := made[cfg.Driver+cfg.DSN]
		if !again {
			if own, err = p.makeDatabase(ctx, cfg, "verify_"+name); err != nil {
				return nil, err
			}
			made[cfg.Driver+cfg.DSN] = own
		}
		p.direct[section+"dsn"] = own.DSN
		if section == "database." {
			p.tables = own
		}
	}
	if t.AMQP != "" {
		p.direct["transport.prefix"] = t.Prefix + "verify-" + name + "-"
	}
	maps.Copy(p.proxied, p.direct)
	if proxies {
		if err := p.proxy(t); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// makeDatabase makes a schema in a PostgreSQL database, or a file beside that
// of SQLite, on the same disk.
func (p *place) makeDatabase(ctx context.Context, cfg database.Config, name string) (database.Config, error) {
	if cfg.Driver != database.Postgres {
		cfg.DSN += "." + name
		p.undo(func(context.Context) error {
			var errs []error
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(cfg.DSN + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
					errs = append(errs, err)
				}
			}
			return errors.Join(errs...)
		})
		return cfg, nil
	}
	server := cfg.DSN
	if err := execute(ctx, server, "CREATE SCHEMA "+name); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "42501" {
			return cfg, fmt.Errorf("this user may not create a schema for the run; GRANT CREATE ON DATABASE to it: %w", err)
		}
		return cfg, fmt.Errorf("creating a schema for the run: %w", err)
	}
	p.undo(func(ctx context.Context) error { return execute(ctx, server, "DROP SCHEMA "+name+" CASCADE") })
	cfg.DSN = extend(cfg.DSN, map[string]string{"search_path": name})
	return cfg, nil
}

// execute runs a statement on a connection of its own.
func execute(ctx context.Context, dsn, statement string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// extend adds parameters to a DSN, which replace those that it has.
func extend(dsn string, parameters map[string]string) string {
	if u, err := url.Parse(dsn); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		q := u.Query()
		for key, value := range parameters {
			q.Set(key, value)
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
	for key, value := range parameters {
		dsn += " " + key + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}
	return dsn
}

// proxy puts a proxy before each server whose address may be another.
func (p *place) proxy(t Target) error {
	if t.AMQP != "" {
		if err := p.proxyBroker(t); err != nil {
			return err
		}
	}
	servers := map[string]*Proxy{}
	for _, key := range []string{"database.dsn", "transport.sql.dsn"} {
		dsn, used := p.direct[key]
		driver := t.Tables.Driver
		if key == "transport.sql.dsn" {
			driver = t.Queues.Driver
		}
		if !used || driver != database.Postgres {
			continue
		}
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return errors.New("the DSN cannot be read") // and what it is may hold a password
		}
		if cfg.TLSConfig != nil && !cfg.TLSConfig.InsecureSkipVerify {
			continue // the certificate is for the host that a proxy is not
		}
		hosts, err := p.proxyHosts(cfg, servers)
		if err != nil {
			return err
		}
		p.proxied[key] = reroute(dsn, cfg, hosts)
	}
	return nil
}

// proxyHosts puts a proxy before each host of a DSN, in their order. servers
// are those that have one, by address.
func (p *place) proxyHosts(cfg *pgx.ConnConfig, servers map[string]*Proxy) (hosts []*Proxy, err error) {
	all := []*pgconn.FallbackConfig{{Host: cfg.Host, Port: cfg.Port}}
	for _, at := range append(all, cfg.Fallbacks...) {
		network, address := pgconn.NetworkAddress(at.Host, at.Port)
		between := servers[address]
		if between == nil {
			if between, err = p.between(network, address); err != nil {
				return nil, err
			}
			servers[address] = between
		}
		if !slices.Contains(hosts, between) { // with and without TLS a host is there twice
			hosts = append(hosts, between)
		}
	}
	return hosts, nil
}

func (p *place) between(network, address string) (*Proxy, error) {
	proxy, err := NewProxy(network, address)
	if err != nil {
		return nil, err
	}
	p.proxies = append(p.proxies, proxy)
	p.undo(func(context.Context) error { return proxy.Close() })
	return proxy, nil
}

func (p *place) proxyBroker(t Target) error {
	u, err := url.Parse(t.AMQP)
	if err != nil {
		return errors.New("the broker's URL cannot be read") // and what it is may hold a password
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = map[string]string{"amqps": "5671"}[u.Scheme]
	}
	if port == "" {
		port = "5672"
	}
	between, err := p.between("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	u.Host = between.Addr()
	p.proxied["transport.amqp.url"] = u.String()
	p.proxied["transport.amqp.failover"] = ""
	if u.Scheme == "amqps" && t.ServerName == "" {
		p.proxied["transport.amqp.server_name"] = host
	}
	return nil
}

// reroute leads a DSN to proxies, with the password that was found for the
// server.
func reroute(dsn string, cfg *pgx.ConnConfig, to []*Proxy) string {
	var addresses, hosts, ports []string
	for _, proxy := range to {
		addresses, hosts, ports = append(addresses, proxy.Addr()), append(hosts, "127.0.0.1"), append(ports, strconv.Itoa(proxy.Port()))
	}
	parameters := map[string]string{"host": strings.Join(hosts, ","), "port": strings.Join(ports, ",")}
	if u, err := url.Parse(dsn); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		q := u.Query()
		q.Del("host")
		q.Del("port")
		u.RawQuery, u.Host, u.User = q.Encode(), strings.Join(addresses, ","), url.UserPassword(cfg.User, cfg.Password)
		return u.String()
	}
	if cfg.Password != "" {
		parameters["password"] = cfg.Password
	}
	return extend(dsn, parameters)
}
