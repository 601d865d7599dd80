package inprocess

import (
	"fmt"

	"krabby.dev/krabby/hal/realtime"
)

// deadlines are the flags for what the two loops ask of the kernel.
type deadlines struct {
	RealtimePriority int   `name:"realtime-priority" default:"0" placeholder:"N" help:"Run the policy's loop before all ordinary threads, with SCHED_FIFO at priority N, 1 to 98, and the robot's at N+1; 0 does not."`
	CPU              []int `name:"cpu" placeholder:"LIST" help:"Processors that the two loops run on, for example 2,3."`
	LockMemory       bool  `name:"lock-memory" help:"Keep all memory of the program from being paged out."`
}

// policy is what the policy's loop gets.
func (d *deadlines) policy() realtime.Settings {
	return realtime.Settings{Priority: d.RealtimePriority, CPUs: d.CPU}
}

// server is what the robot's loop gets. It comes first, so that a policy that never ends its step cannot keep the safety
// gate from holding the robot, on the same processor either.
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
	for _, cpu := range d.CPU {
		if cpu < 0 {
			return fmt.Errorf("--cpu: found %d, expected 0 or more", cpu)
		}
	}
	return nil
}

// prepare finds out whether the loops will get what they ask for, and locks the memory. The robot's loop asks for more.
func (d *deadlines) prepare() error {
	if err := d.server().Check(); err != nil {
		return err
	}
	if d.LockMemory {
		return realtime.LockMemory()
	}
	return nil
}
