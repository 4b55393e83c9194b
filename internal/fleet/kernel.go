package fleet

import (
	"os"
	"strconv"
	"strings"
)

// kernel is what this system says of processes. Where there is no /proc the
// machine is unknown, and nothing is said of any process.
type kernel struct {
	machine string // "" = unknown
}

// thisKernel names the running kernel, by its boot, and its space of process
// ids, of which each container has one. The host's name tells apart copies of
// a virtual machine that was saved while it ran.
func thisKernel(host string) kernel {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return kernel{}
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return kernel{}
	}
	return kernel{machine: host + " " + strings.TrimSpace(string(boot)) + " " + space}
}

// birth is when the process began, in ticks since the boot: so a process id
// that was given to another is noticed. It is "" for a process that does not
// exist, or has died and was not waited for yet.
func (k kernel) birth(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// proc_pid_stat(5): the name, in parentheses, may hold anything. Behind it
	// are field 3, the state, and so on; field 22 is the time of the start.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const state, start = 0, 19
	if len(fields) <= start || fields[state] == "Z" || fields[state] == "X" {
		return ""
	}
	return fields[start]
}

// verdict is what the kernel says of a worker: nothing of one on another
// machine.
func (k kernel) verdict(w *Worker) State {
	switch {
	case k.machine == "" || w.machine != k.machine || w.birth == "":
		return Unknown
	case k.birth(w.PID) == w.birth:
		return Alive
	default:
		return Dead
	}
}
