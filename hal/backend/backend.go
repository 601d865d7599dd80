// Package backend defines what stands behind the hardware abstraction layer: a robot, real or simulated, with a life cycle. The
// server reads and writes every robot through this contract.
//
// The life cycle follows ros2_control's hardware components (hardware_interface/doc/lifecycle_of_a_hardware_component.rst).
// [Lifecycle] enforces it:
//
//	call        allowed in        state afterwards  after an error
//	Configure   unconfigured      inactive          finalized: Close has been called
//	Activate    inactive          active            inactive: Deactivate has been called
//	Read        inactive, active  unchanged         unchanged: the server publishes nothing, commands expire, the gate damps
//	Write       active            unchanged         unchanged: the server retries at the next step
//	Deactivate  inactive, active  inactive          finalized: Close has been called
//	Close       all               finalized         finalized
//
// A call in another state returns a [*StateError] and does not reach the backend. A panic in a backend is an error of the call.
// In the states inactive and finalized the robot is safe: its joints are damped, or they have no power. Before the first activation, a
// simulated robot may hold its start pose instead.
//
// The package must not import servers, clients, transport or concrete backends.
package backend

import (
	"context"
	"time"

	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// Backend is one robot: hardware, a simulation or synthetic data. One goroutine at a time calls its methods, in the order of
// the life cycle; only Health may be called at any time from any goroutine.
type Backend interface {
	// Configure acquires files, devices and memory. It must not move a joint or give it power, except that a simulation puts its robot
	// at the start. After an error, Close follows.
	Configure(ctx context.Context) error
	// Activate makes the joints ready to take commands. Until the first Write they are damped, without power, or hold their position.
	Activate(ctx context.Context) error
	// Read fills the sensor fields of o. Its slices have the robot's sizes and hold the values of the last Read; the caller fills
	// sequence, session and times. After an error the caller discards o. Read must return within a fraction of the period.
	//
	// An image that Read leaves alone is published again. For a new image, Read calls Resize, which provides memory in the next
	// frame, so that pixels are not copied; it must not write to the pixels of an earlier Read, which are already published.
	Read(ctx context.Context, o *message.Observation) error
	// Write applies c until the next call. A joint with Kp 0 is damped by its Kd: its target has no meaning, and the backend must
	// not drive the joint there. Write must not keep or change c.
	Write(ctx context.Context, c *message.JointCommand) error
	// Deactivate brings the joints into the safe state: damped, or without power. It must work after any error of the other
	// methods, and with a ctx whose deadline is 100 ms away.
	Deactivate(ctx context.Context) error
	// Close releases what Configure acquired. Further calls return nil.
	Close() error
	// Health returns the backend's own view of its condition. It must not block.
	Health() Health
}

// Condition summarises the health of a backend.
type Condition string

// The conditions.
const (
	// OK: the backend works.
	OK Condition = "ok"
	// Degraded: the backend works with restrictions, for example without a camera.
	Degraded Condition = "degraded"
	// Failed: the backend cannot read or write.
	Failed Condition = "failed"
)

// Health is the condition of a backend and the reason for it.
type Health struct {
	Condition Condition `json:"condition"`
	// Reason is empty for OK.
	Reason string `json:"reason,omitempty"`
}

// Config is what every backend is made for.
type Config struct {
	Robot *robot.Robot
	// Period is the time between two calls of Read. Simulations advance by it in each Read.
	Period time.Duration
	// Clock stamps images. It is the server's clock.
	Clock clock.Source
	// Locate resolves the path of a flag; nil leaves paths as they are.
	Locate func(path string) string
}

// Path resolves the path of a flag.
func (c *Config) Path(path string) string {
	if c.Locate == nil {
		return path
	}
	return c.Locate(path)
}

// Factory makes backends of one kind. It is a pointer to a struct whose exported fields are the command line flags of the kind,
// with struct tags of github.com/alecthomas/kong.
type Factory interface {
	// Name is the value of the flag --backend.
	Name() string
	// New returns an unconfigured backend. It must not access files or devices. The error names the flag that is wrong.
	New(Config) (Backend, error)
}

// Stateless implements the life cycle for a backend that acquires nothing and whose joints need no safe state, such as a
// simulation or a test. Embed it and add Read and Write.
type Stateless struct{}

// Configure does nothing.
func (Stateless) Configure(context.Context) error { return nil }

// Activate does nothing.
func (Stateless) Activate(context.Context) error { return nil }

// Deactivate does nothing.
func (Stateless) Deactivate(context.Context) error { return nil }

// Close does nothing.
func (Stateless) Close() error { return nil }

// Health returns OK.
func (Stateless) Health() Health { return Health{Condition: OK} }
