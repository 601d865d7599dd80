package measure

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine describes the machine and its load in one line.
func Machine() string {
	return fmt.Sprintf("machine: %d CPUs (%s), Linux %s, load average %s", runtime.NumCPU(), processor(), kernel(), load())
}

// load returns the machine's load average over 1, 5 and 15 minutes.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}

func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "of unknown version"
	}
	return unix.ByteSliceToString(name.Release[:])
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown model"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown model"
}
