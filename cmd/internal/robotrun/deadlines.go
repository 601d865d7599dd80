package robotrun

import (
	"fmt"

	"krabby.dev/krabby/hal/realtime"
)

// deadlines are the flags for the scheduling of the two loops.
type deadlines struct {
	RealtimePriority int   `name:"realtime-priority" default:"0" placeholder:"N" help:"Run the policy's loop with SCHED_FIFO at priority N, 1 to 98, and the robot's loop at N+1; 0 uses the default scheduler."`
	CPUAffinity      []int `name:"cpu-affinity" placeholder:"LIST" help:"CPUs that the two loops run on, for example 2,3."`
	LockMemory       bool  `name:"lock-memory" help:"Lock all memory of the process, so that it is never paged out."`
}

// policy returns the settings of the policy's loop.
func (d *deadlines) policy() realtime.Settings {
	return realtime.Settings{Priority: d.RealtimePriority, CPUs: d.CPUAffinity}
}

// server returns the settings of the server's loop. Its priority is higher, so that the safety gate runs on the same CPU even if a
// step of the policy never ends.
func (d *deadlines) server() realtime.Settings {
	s := d.policy()
	if s.Priority > 0 {
		s.Priority++
	}
	return s
}

func (d *deadlines) validate() error {
	const highest = realtime.MaxPriority - 1
	if d.RealtimePriority < 0 || d.RealtimePriority > highest {
		return fmt.Errorf("--realtime-priority: found %d, expected 0 to %d", d.RealtimePriority, highest)
	}
	for _, cpu := range d.CPUAffinity {
		if cpu < 0 {
			return fmt.Errorf("--cpu-affinity: found %d, expected 0 or more", cpu)
		}
	}
	return nil
}

// prepare checks that the kernel permits the settings, and locks the memory. The server's loop needs the higher priority.
func (d *deadlines) prepare() error {
	if err := d.server().Check(); err != nil {
		return err
	}
	if d.LockMemory {
		return realtime.LockMemory()
	}
	return nil
}
