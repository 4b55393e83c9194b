// Package config reads the worker's settings from built-in defaults, one YAML file, environment variables and
// flags, for the worker's verbs and for programs that embed its App.
//
// The one thing to know: the structs of this file are the schema. A field's yaml tag names its key, from which
// its variable follows (web.listen is WORKER_WEB_LISTEN), its other tags say which values are possible, and
// Default holds what it is when nobody sets it. Nothing else lists the keys, so a new key is one field here.
//
// The tags, which a handler's own options type may use as well:
//
//	yaml:"listen"            the key; without it the field's name in lower case; "-" leaves the field out
//	oneof:"debug,info"       the only values
//	range:"1..100000"        least and greatest number or duration, both included; either may be left out
//	check:"address"          one of the named checks in rule.go
//	secret:"dsn"             a URL or DSN: its password is masked, and no problem quotes it
//	secret:"all"             masked as a whole
//
// On a list, oneof, range and check hold for each element.
//
// Kubernetes puts variables such as WORKER_PORT into every pod beside a Service named "worker"; they are unknown
// here and so refused. Name the service otherwise, or set enableServiceLinks: false.
package config

import (
	"math"
	"time"

	"github.com/dustin/go-humanize"
)

// Values of the keys that take one of a few words.
const (
	KindSQL  = "sql"
	KindAMQP = "amqp"

	DriverSQLite   = "sqlite"
	DriverPostgres = "postgres"

	AtLeastOnce = "at-least-once" // acknowledged after the effect; failures are tried again, then a dead letter
	AtMostOnce  = "at-most-once"  // acknowledged before the effect; one attempt, no letter

	UnknownDeadLetter = "dead-letter" // an error without a verdict is permanent
	UnknownRetry      = "retry"       // an error without a verdict is transient

	StuckQuarantine = "quarantine" // a handler whose attempts ignore the end of their time is taken out of work
	StuckExit       = "exit"       // it ends the process
)

// Config is everything the worker can be told. It is valid as Load returns it.
type Config struct {
	Transport Transport          `yaml:"transport"`
	Database  Database           `yaml:"database"` // read models, dead letters, inbox, outbox
	Handlers  map[string]Handler `yaml:"handlers"` // by name; every declared handler is present
	Relay     Relay              `yaml:"relay"`
	Alerts    Alerts             `yaml:"alerts"`
	Web       Web                `yaml:"web"`
	Log       Log                `yaml:"log"`
	Memory    Memory             `yaml:"memory"`

	// Migrate lets run create and upgrade tables, exchanges and queues; false leaves that to the verb migrate. Defaults to true.
	Migrate bool `yaml:"migrate"`
}

// Transport says how messages travel.
type Transport struct {
	// Kind chooses between SQL and AMQP below; the other's settings are checked but not used. Defaults to sql.
	Kind string `yaml:"kind" oneof:"sql,amqp"`
	// Prefix is put before every exchange, queue and table name: up to 32 of a-z, 0-9, "_" and "-". Defaults to none.
	Prefix string   `yaml:"prefix" check:"prefix"`
	SQL    Database `yaml:"sql"`
	AMQP   AMQP     `yaml:"amqp"`
}

// Database names one database.
type Database struct {
	// Driver defaults to sqlite.
	Driver string `yaml:"driver" oneof:"sqlite,postgres"`
	// DSN is a file for sqlite, a postgres:// URL or key=value pairs for postgres. Defaults to answerfeed.db.
	DSN string `yaml:"dsn" check:"dsn" secret:"dsn"`
	// Writers is how many transactions write at once on postgres; a sqlite file has one writer. Defaults to 8.
	Writers int `yaml:"writers" range:"1..1000"`
	// Readers is how many queries read at once. Defaults to 8.
	Readers int `yaml:"readers" range:"1..1000"`
	// StatementTimeout is after how long postgres gives a statement up; sqlite has none. Defaults to 30 s.
	StatementTimeout time.Duration `yaml:"statement_timeout" range:"100ms..1h"`
}

// AMQP names a broker.
type AMQP struct {
	// URL is amqp:// or amqps:// with user, password, host and virtual host. Defaults to the local broker as guest.
	URL string `yaml:"url" check:"amqp" secret:"dsn"`
	// Failover are further nodes of the cluster, tried in turn when the one before does not answer. Defaults to none.
	Failover []string `yaml:"failover" check:"amqp" secret:"dsn"`
	// Management is the broker's management API, http:// or https:// with user, password, host and port: where policies
	// can be seen. Without a user it is that of URL. Defaults to none: policies are not looked at.
	Management string `yaml:"management" check:"management" secret:"dsn"`
	// CA, Cert and Key are PEM files for amqps: who signed the broker's certificate (default: the system's), and the
	// worker's own certificate. Default to none.
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ServerName is the name in the broker's certificate. Defaults to the URL's host.
	ServerName string `yaml:"server_name"`
	// Heartbeat is how often both ends show that they are there; three missed ones end the connection. Defaults to 5 s.
	Heartbeat time.Duration `yaml:"heartbeat" range:"1s..60s"`
	// ConnectTimeout is how long the first connection is tried for. Defaults to 30 s.
	ConnectTimeout time.Duration `yaml:"connect_timeout" range:"1s..10m"`
	// ConsumerTimeout is how long the broker leaves a message with a worker that does not acknowledge it: its
	// consumer_timeout, which AMQP does not tell. Defaults to 30 min, as the broker's.
	ConsumerTimeout time.Duration `yaml:"consumer_timeout" range:"1s..720h"`
	// Name is shown by the broker beside the connections. Defaults to answerfeed, with host and process id.
	Name string `yaml:"name"`
}

// Handler is what the worker can be told about one handler.
type Handler struct {
	// Enabled false keeps the handler's queues filling, and takes nothing from them. Defaults to true.
	Enabled bool `yaml:"enabled"`
	// Concurrency is the number of messages in flight, for each of the handler's topics. Defaults to 1000.
	Concurrency int `yaml:"concurrency" range:"1..100000"`
	// Delivery is AtLeastOnce or AtMostOnce. Defaults to AtLeastOnce.
	Delivery string `yaml:"delivery" oneof:"at-least-once,at-most-once"`
	// Timeout bounds one attempt. Defaults to 10 s.
	Timeout time.Duration `yaml:"timeout" range:"1ms..24h"`
	// OnUnknown is UnknownDeadLetter or UnknownRetry. Defaults to UnknownDeadLetter.
	OnUnknown string `yaml:"on_unknown" oneof:"dead-letter,retry"`
	// OnStuck is StuckQuarantine or StuckExit: what happens when 100 attempts ignore the end of their time and still run.
	// Defaults to StuckQuarantine.
	OnStuck string `yaml:"on_stuck" oneof:"quarantine,exit"`
	Retry   Retry  `yaml:"retry"`
	// Options is a pointer to the handler's own settings, of the type its HandlerDecl gave; nil when it takes none.
	Options any `yaml:"options"`
}

// Retry says how a transient failure is tried again; Timetable tells what it comes to.
type Retry struct {
	// Attempts is how often a message is tried in process before it is put off. Defaults to 3.
	Attempts int `yaml:"attempts" range:"1..100"`
	// Backoff is the pause before the second attempt; it doubles for each further one, ±20 %. 0 is no pause.
	// All pauses together stay within MaxPauses. Defaults to 50 ms.
	Backoff time.Duration `yaml:"backoff" range:"0s..1h"`
	// Redeliver holds the durable delays that follow, at most MaxRedeliver; after the last, a dead letter. Empty:
	// a dead letter at once. Defaults to 5 s, 30 s, 2 min, 10 min, 1 h.
	// No delay may be longer than 30 days: RabbitMQ's x-message-ttl holds 2^32-1 ms, which is 49.7 days.
	Redeliver []time.Duration `yaml:"redeliver" range:"1ms..720h"`
}

// Bounds of Retry that concern more than one value.
const (
	MaxPauses    = time.Hour // between quick attempts, added up: a message that waits longer should not hold a place
	MaxRedeliver = 100       // durable delays; each distinct one is a queue on AMQP
)

// Relay says what run does about the outbox of the database.
type Relay struct {
	// Enabled false leaves the outbox to the verb relay. Defaults to true.
	Enabled bool `yaml:"enabled"`
}

// Alerts says who is told of new dead letters.
type Alerts struct {
	// URL is where alerts are posted; none = nowhere. Defaults to none.
	URL string `yaml:"url" check:"webhook" secret:"all"`
	// Form is the body's: json or slack. Defaults to json.
	Form string `yaml:"form" oneof:"json,slack"`
	// Every is how often is looked for news. Defaults to 30 s.
	Every time.Duration `yaml:"every" range:"1s..1h"`
	// Spike is how many letters of one problem within SpikeWithin are told of again; 0 = never. Defaults to 100 within 10 min.
	Spike       int           `yaml:"spike" range:"0..1000000"`
	SpikeWithin time.Duration `yaml:"spike_within" range:"1s..24h"`
	// AllowHosts are the hosts that URL may name. Empty = any. Defaults to none.
	AllowHosts []string `yaml:"allow_hosts"`
	// AllowPrivate lets URL lead to this machine and to private networks. Defaults to false.
	AllowPrivate bool `yaml:"allow_private"`
}

// Web says where the pages are served.
type Web struct {
	// Listen is host:port; no host is every interface, port 0 any free one. Defaults to 127.0.0.1:8080.
	Listen string `yaml:"listen" check:"address"`
	// Hosts are the names by which browsers may reach the pages, besides localhost and loopback addresses. Empty: any, and on
	// loopback no other. Defaults to none.
	Hosts []string `yaml:"hosts"`
}

// Log says what is logged, to standard error.
type Log struct {
	// Level defaults to info.
	Level string `yaml:"level" oneof:"debug,info,warn,error"`
	// Format defaults to text.
	Format string `yaml:"format" oneof:"text,json"`
}

// Memory says how much the process may take.
type Memory struct {
	// Limit is a size such as 150MiB or 1GiB, at least 64MiB; auto is three quarters of the cgroup's limit, or 150 MiB
	// without one. Defaults to auto.
	Limit string `yaml:"limit" check:"memory"`
}

// SizeAuto is the Limit that follows from the machine.
const SizeAuto = "auto"

// Bytes is the limit in bytes, 0 for auto.
func (m Memory) Bytes() int64 {
	n, err := humanize.ParseBytes(m.Limit)
	if err != nil || n > math.MaxInt64 {
		return 0 // auto: any other was refused
	}
	return int64(n)
}

// Default returns the configuration without handlers that holds when nobody sets anything.
func Default() Config {
	local := Database{Driver: DriverSQLite, DSN: "answerfeed.db", Writers: 8, Readers: 8, StatementTimeout: 30 * time.Second}
	return Config{
		Transport: Transport{Kind: KindSQL, SQL: local, AMQP: AMQP{
			URL: "amqp://guest:guest@127.0.0.1:5672/", Failover: []string{}, Heartbeat: 5 * time.Second, ConnectTimeout: 30 * time.Second,
			ConsumerTimeout: 30 * time.Minute,
		}},
		Database: local,
		Handlers: map[string]Handler{},
		Relay:    Relay{Enabled: true},
		Alerts:   Alerts{Form: "json", Every: 30 * time.Second, Spike: 100, SpikeWithin: 10 * time.Minute, AllowHosts: []string{}},
		Web:      Web{Listen: "127.0.0.1:8080", Hosts: []string{}},
		Log:      Log{Level: "info", Format: "text"},
		Memory:   Memory{Limit: SizeAuto},
		Migrate:  true,
	}
}

// DefaultHandler returns what a handler is when neither its declaration nor the user says otherwise.
func DefaultHandler() Handler {
	return Handler{
		Enabled:     true,
		Concurrency: 1000,
		Delivery:    AtLeastOnce,
		Timeout:     10 * time.Second,
		OnUnknown:   UnknownDeadLetter,
		OnStuck:     StuckQuarantine,
		Retry: Retry{
			Attempts:  3,
			Backoff:   50 * time.Millisecond,
			Redeliver: []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour},
		},
	}
}
