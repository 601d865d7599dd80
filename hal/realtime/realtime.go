// Package realtime gives a loop what the kernel has for work with deadlines: a priority before all ordinary threads,
// processors of its own, and memory that is never paged out. It is here and not with the policy because the server's loop,
// with the safety gate in it, needs it more than any policy does.
//
// Priority and processors belong to one thread, so a loop takes them for its own, locked thread and Go's other threads,
// with garbage collection on them, stay ordinary. What is not permitted is an error that says what is missing: who asks for
// deadlines must not get a loop without them unnoticed.
//
// It must never import anything of this module.
package realtime

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// MaxPriority is the highest priority that SCHED_FIFO knows.
const MaxPriority = 99

// Settings are what a thread is to have. The zero value asks for nothing.
type Settings struct {
	// Priority is that of SCHED_FIFO, 1 to 99: the thread runs whenever it can, before all ordinary threads and all
	// of lower priority, until it sleeps. 0 leaves the thread an ordinary one.
	Priority int
	// CPUs are the numbers of the processors to run on; none leaves the choice to the kernel.
	CPUs []int
}

// Check takes the settings for a thread that ends at once. The error is that which Enter would return.
func (s Settings) Check() error {
	result := make(chan error)
	go func() { result <- s.Enter() }() // Ends locked, and with it the thread.
	return <-result
}

// Enter locks the goroutine to its thread and takes the settings for it, for good: the thread ends with the goroutine,
// which must not unlock it. Threads that it starts inherit nothing. After an error the thread may have some of the settings.
func (s Settings) Enter() error {
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
		return priorityRefused(s.Priority)
	}
	if err != nil {
		return fmt.Errorf("realtime: priority %d: %w", s.Priority, err)
	}
	return nil
}

// pin lets the thread run on cpus only.
func pin(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var before, wanted, got unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("realtime: asking for the permitted CPUs: %w", err)
	}
	for _, cpu := range cpus {
		wanted.Set(cpu) // Ignores what is out of range.
	}
	err := unix.SchedSetaffinity(0, &wanted)
	if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: none of them is there.
		return fmt.Errorf("realtime: CPUs %v: %w", cpus, err)
	}
	if getErr := unix.SchedGetaffinity(0, &got); getErr != nil {
		return fmt.Errorf("realtime: asking for the CPUs of a thread: %w", getErr)
	}
	// The kernel leaves out, without a word, those that are not there or that the control group does not have.
	for _, cpu := range cpus {
		if err != nil || !got.IsSet(cpu) {
			return fmt.Errorf("realtime: CPUs %v: found no CPU %d for this process, expected some of %v (docker run --cpuset-cpus, taskset)",
				cpus, missing(cpus, &before), list(&before))
		}
	}
	return nil
}

// missing returns the first of cpus that is not in set.
func missing(cpus []int, set *unix.CPUSet) int {
	if i := slices.IndexFunc(cpus, func(cpu int) bool { return !set.IsSet(cpu) }); i >= 0 {
		return cpus[i]
	}
	return cpus[0]
}

func list(set *unix.CPUSet) (cpus []int) {
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// priorityRefused says what is missing.
func priorityRefused(priority int) error {
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

// LockMemory keeps the memory of the process from being paged out, and brings in all that it has now: programs and libraries
// to the last page, so that a part of them that never ran yet is not read from a disk in the middle of a tick. Call it once
// everything is loaded.
//
// Memory that is mapped later is locked when it is first touched (MCL_ONFAULT): the heap of Go and the stacks of threads
// are mapped far larger than they are used, and would otherwise all be brought in. Since a Go program dies when it cannot
// map memory, a limit that it could run into later is refused now.
func LockMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("realtime: asking for the limit of locked memory: %w", err)
	}
	refused := fmt.Errorf("realtime: locking memory: not permitted: found RLIMIT_MEMLOCK %s and no CAP_IPC_LOCK, "+
		"expected no limit (docker run --ulimit memlock=-1, ulimit -l unlimited, LimitMEMLOCK=infinity), or CAP_IPC_LOCK (as root, docker run --cap-add=IPC_LOCK)",
		bytes(limit.Cur))
	if limit.Cur != unix.RLIM_INFINITY && !capable(unix.CAP_IPC_LOCK) {
		return refused
	}
	for _, flags := range []int{unix.MCL_CURRENT, unix.MCL_FUTURE | unix.MCL_ONFAULT} {
		err := unix.Mlockall(flags)
		switch {
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOMEM): // A capability of a user namespace is not enough.
			return refused
		case err != nil:
			return fmt.Errorf("realtime: locking memory: %w", err)
		}
	}
	return nil
}

func bytes(limit uint64) string {
	if limit == math.MaxUint64 {
		return "unlimited"
	}
	return fmt.Sprintf("%d bytes", limit)
}

// capable says whether the thread has a capability, in its user namespace.
func capable(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}
