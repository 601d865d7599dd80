// Package realtime configures real-time scheduling for a loop with deadlines: a SCHED_FIFO priority, CPU affinity, and locked
// memory. It is part of hal, because the server's loop with the safety gate has the hardest deadlines.
//
// Priority and affinity apply to one thread. A loop applies them to its own, locked thread; Go's other threads, which run the
// garbage collector, keep ordinary scheduling. A missing permission is an error that names it, so that no loop silently runs
// without real-time scheduling.
//
// The package must never import another package of this module.
package realtime

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// MaxPriority is the highest priority of SCHED_FIFO.
const MaxPriority = 99

// Settings are the scheduling settings of a thread. The zero value changes nothing.
type Settings struct {
	// Priority is a SCHED_FIFO priority, 1 to 99: the thread preempts all ordinary threads and those of lower priority until it
	// sleeps. 0 keeps ordinary scheduling.
	Priority int
	// CPUs are the numbers of the CPUs to run on. Empty leaves the choice to the kernel.
	CPUs []int
}

// Check applies the settings to a temporary thread, and returns the error that Apply would return.
func (s Settings) Check() error {
	result := make(chan error)
	go func() { result <- s.Apply() }() // The locked goroutine ends, and its thread with it.
	return <-result
}

// Apply locks the calling goroutine to its thread and applies the settings to the thread. The goroutine must not unlock the
// thread, which ends with it. New threads do not inherit the settings. After an error, some of the settings may be applied.
func (s Settings) Apply() error {
	if s.Priority < 0 || s.Priority > MaxPriority {
		return fmt.Errorf("realtime: priority: found %d, expected 0 to %d", s.Priority, MaxPriority)
	}
	runtime.LockOSThread()
	if err := pin(s.CPUs); err != nil {
		return err
	}
	if s.Priority == 0 {
		return nil
	}
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size:     unix.SizeofSchedAttr,
		Policy:   unix.SCHED_FIFO,
		Flags:    unix.SCHED_FLAG_RESET_ON_FORK,
		Priority: uint32(s.Priority),
	}, 0)
	if errors.Is(err, unix.EPERM) {
		return priorityError(s.Priority)
	}
	if err != nil {
		return fmt.Errorf("realtime: priority %d: %w", s.Priority, err)
	}
	return nil
}

// pin restricts the thread to cpus.
func pin(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var before, wanted, got unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("realtime: reading the permitted CPUs: %w", err)
	}
	for _, cpu := range cpus {
		wanted.Set(cpu) // Ignores numbers out of range.
	}
	err := unix.SchedSetaffinity(0, &wanted)
	if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: none of them is available.
		return fmt.Errorf("realtime: CPUs %v: %w", cpus, err)
	}
	if getErr := unix.SchedGetaffinity(0, &got); getErr != nil {
		return fmt.Errorf("realtime: reading the CPUs of the thread: %w", getErr)
	}
	// The kernel silently drops CPUs that do not exist or that the control group does not have.
	for _, cpu := range cpus {
		if err != nil || !got.IsSet(cpu) {
			return fmt.Errorf("realtime: CPUs %v: found no CPU %d for this process, expected some of %v (docker run --cpuset-cpus, taskset)",
				cpus, missing(cpus, &before), list(&before))
		}
	}
	return nil
}

// missing returns the first of cpus that is not in set, or the first one.
func missing(cpus []int, set *unix.CPUSet) int {
	if i := slices.IndexFunc(cpus, func(cpu int) bool { return !set.IsSet(cpu) }); i >= 0 {
		return cpus[i]
	}
	return cpus[0]
}

// list returns the CPUs in set.
func list(set *unix.CPUSet) (cpus []int) {
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// priorityError returns the error for a priority that is not permitted. It names the missing permission.
func priorityError(priority int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_RTPRIO, &limit); err != nil {
		return fmt.Errorf("realtime: priority %d: not permitted", priority)
	}
	if limit.Cur >= uint64(priority) || capable(unix.CAP_SYS_NICE) {
		return fmt.Errorf("realtime: priority %d: not permitted although limits and capabilities allow it: "+
			"expected a control group with real-time budget (cpu.rt_runtime_us, docker run --cpu-rt-runtime), and CAP_SYS_NICE of the machine where the limit is lower: found RLIMIT_RTPRIO %d",
			priority, limit.Cur)
	}
	return fmt.Errorf("realtime: priority %d: not permitted: found RLIMIT_RTPRIO %d and no CAP_SYS_NICE, "+
		"expected RLIMIT_RTPRIO of at least %d (docker run --ulimit rtprio=%d, ulimit -r, LimitRTPRIO=), or CAP_SYS_NICE (as root, docker run --cap-add=SYS_NICE)",
		priority, limit.Cur, priority, priority)
}

// LockMemory locks the memory of the process, so that it is never paged out, and loads all pages that are mapped now. Code that
// runs for the first time is then not read from disk during a tick. Call it after loading programs, libraries and models.
//
// Memory that is mapped later is locked when it is first touched (MCL_ONFAULT): Go's heap and thread stacks are mapped much
// larger than they are used. A Go program dies if it cannot map memory, so a limit of locked memory is an error here.
func LockMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("realtime: reading the limit of locked memory: %w", err)
	}
	notPermitted := fmt.Errorf("realtime: locking memory: not permitted: found RLIMIT_MEMLOCK %s and no CAP_IPC_LOCK, "+
		"expected no limit (docker run --ulimit memlock=-1, ulimit -l unlimited, LimitMEMLOCK=infinity), or CAP_IPC_LOCK (as root, docker run --cap-add=IPC_LOCK)",
		bytes(limit.Cur))
	if limit.Cur != unix.RLIM_INFINITY && !capable(unix.CAP_IPC_LOCK) {
		return notPermitted
	}
	for _, flags := range []int{unix.MCL_CURRENT, unix.MCL_FUTURE | unix.MCL_ONFAULT} {
		err := unix.Mlockall(flags)
		switch {
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOMEM): // A capability in a user namespace is not sufficient.
			return notPermitted
		case err != nil:
			return fmt.Errorf("realtime: locking memory: %w", err)
		}
	}
	return nil
}

// bytes formats a limit.
func bytes(limit uint64) string {
	if limit == math.MaxUint64 {
		return "unlimited"
	}
	return fmt.Sprintf("%d bytes", limit)
}

// capable reports whether the thread has a capability in its user namespace.
func capable(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}
