package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// clockTick is the unit of /proc/stat.
const clockTick = 10 * time.Millisecond

// surroundings are where it was measured, and with what.
type surroundings struct {
	Processor  string            `json:"processor"`
	Processors int               `json:"processors"`
	Memory     string            `json:"memory"`
	Kernel     string            `json:"kernel"`
	Go         string            `json:"go"`
	RabbitMQ   string            `json:"rabbitmq,omitempty"`
	PostgreSQL string            `json:"postgresql,omitempty"`
	Celery     string            `json:"celery,omitempty"`
	Modules    map[string]string `json:"modules"`
}

// modulesThatMatter are those whose versions a report tells.
func modulesThatMatter() []string {
	return []string{
		"github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-amqp/v2",
		"github.com/ThreeDotsLabs/watermill-sql/v3", "github.com/riverqueue/river",
		"github.com/rabbitmq/amqp091-go", "github.com/jackc/pgx/v5", "modernc.org/sqlite",
	}
}

// describe leaves out what it cannot find out.
func (b *bench) describe(ctx context.Context) (surroundings, error) {
	m := surroundings{
		Processor: field("/proc/cpuinfo", "model name"), Processors: runtime.NumCPU(),
		Memory: field("/proc/meminfo", "MemTotal"), Go: runtime.Version(), Modules: map[string]string{},
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = strings.TrimSpace(string(kernel))
	if b.conn != nil {
		m.RabbitMQ = fmt.Sprint(b.conn.Properties["version"])
	}
	if b.celery != nil {
		m.Celery = b.celery.version
	}
	if b.postgres != nil {
		server := place{database.Postgres, b.postgres.DSN}
		if err := server.number(ctx, "SHOW server_version", &m.PostgreSQL); err != nil {
			return m, err
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			for _, path := range modulesThatMatter() {
				if module.Path == path {
					m.Modules[path] = module.Version
				}
			}
		}
	}
	return m, nil
}

// field is the first value of a key in a file of /proc.
func field(file, key string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// busyPercent is how busy the machine is for half a second in which the
// benchmark does nothing: others' work.
func busyPercent(ctx context.Context) (float64, error) {
	allBefore, idleBefore := processorTime()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(500 * time.Millisecond):
	}
	all, idle := processorTime()
	if all == allBefore {
		return 0, nil
	}
	return 100 * (1 - (idle-idleBefore)/(all-allBefore)), nil
}

// processorTime is the first line of /proc/stat, in ticks; zeros where there
// is none.
func processorTime() (all, idle float64) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, word := range strings.Fields(line) {
		var ticks float64
		if _, err := fmt.Sscan(word, &ticks); err != nil {
			continue // its name
		}
		all += ticks
		if i == 4 || i == 5 { // idle, and waiting for the disk
			idle += ticks
		}
	}
	return all, idle
}
