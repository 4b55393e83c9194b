package cli

import (
	"os"

	"github.com/answerfeed/answerfeed/internal/crashpoint"
	"github.com/answerfeed/answerfeed/internal/verify"
)

// faultFlag is a fault with the flag that says how often it comes.
type faultFlag struct {
	verify.Fault

	flag  string
	times int // by default
	what  string
}

// usage is the flag's, in the help.
func (f faultFlag) usage() string {
	usage := "`N` times " + f.what
	if f.Needs() != "" {
		usage += "; with --own-servers"
	}
	return usage
}

// faultFlags are all of them, in the order of the help.
func faultFlags() []faultFlag {
	all := []faultFlag{
		{verify.WorkerKill, "kills", 20, "a worker is killed"},
		{verify.WorkerStop, "stops", 1, "a worker is held up until others have its messages, with each transport"},
		{verify.Cut, "cuts", 5, "all connections are cut"},
		{verify.TableRename, "table-renames", 3, "a table of the worker is renamed for a moment"},
		{verify.BrokerKill, "broker-kills", 3, "the broker is killed"},
		{verify.DatabaseKill, "database-kills", 5, "the database is killed"},
		{verify.Failover, "failovers", 2, "the database is killed and a synchronous standby takes its place"},
		{verify.DiskFull, "disk-fulls", diskFulls(), "the database's disk is full for a moment, which takes root"},
		{verify.DeliveryLimit, "delivery-limits", 1, "a policy limits the broker's deliveries"},
		{verify.RefusingQueue, "refusals", 1, "a handler's queue refuses messages for a moment"},
		{verify.LargeMessage, "large-messages", 2, "a message is published that is too large for the broker"},
		{verify.ClosedByBroker, "broker-closes", 2, "the broker closes all connections"},
	}
	if crashpoint.Enabled {
		all = append(all, faultFlag{verify.CrashPoint, "crash-points", 0, "a worker dies at each crash point, with each transport"})
	}
	return all
}

// diskFulls is the default of the flag: a disk can be mounted by root alone.
func diskFulls() int {
	if os.Geteuid() == 0 {
		return 3
	}
	return 0
}
