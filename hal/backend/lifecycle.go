package backend

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"krabby.dev/krabby/hal/message"
)

// State is a state of the life cycle; the package comment has the table.
type State uint32

// The states.
const (
	Unconfigured State = iota
	Inactive
	Active
	Finalized
)

var stateNames = [...]string{"unconfigured", "inactive", "active", "finalized"}

// String returns the state's name in reports.
func (s State) String() string { return stateNames[s] }

// StateError reports a call that the life cycle does not allow in the current state.
type StateError struct {
	Call    string
	Found   State
	Allowed []State
}

func (e *StateError) Error() string {
	names := make([]string, len(e.Allowed))
	for i, s := range e.Allowed {
		names[i] = s.String()
	}
	return fmt.Sprintf("backend: %s: found state %s, expected %s", e.Call, e.Found, strings.Join(names, " or "))
}

// PanicError is a panic of a backend.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("backend: panic: %v", e.Value) }

const (
	// deactivateAttempts is how often Deactivate is tried, deactivateTimeout how long all attempts may take.
	deactivateAttempts = 3
	deactivateTimeout  = 100 * time.Millisecond
)

// Lifecycle guards a backend: it allows each call in the states of the package's table only, and brings the robot into the safe
// state after an error. Its methods belong to one goroutine at a time; State and Health may be called from any.
type Lifecycle struct {
	backend Backend
	state   atomic.Uint32
}

// NewLifecycle returns the life cycle of b, which must be unconfigured.
func NewLifecycle(b Backend) *Lifecycle { return &Lifecycle{backend: b} }

// State returns the current state.
func (l *Lifecycle) State() State { return State(l.state.Load()) }

// Health returns the backend's health; a finalized backend has failed, a backend whose Health panics too.
func (l *Lifecycle) Health() (h Health) {
	if l.State() == Finalized {
		return Health{Failed, "closed"}
	}
	if err := guard(func() error { h = l.backend.Health(); return nil }); err != nil {
		return Health{Failed, err.Error()}
	}
	return h
}

// Configure calls the backend's Configure and, after an error, its Close.
func (l *Lifecycle) Configure(ctx context.Context) error {
	if err := l.check("configure", Unconfigured); err != nil {
		return err
	}
	if err := guard(func() error { return l.backend.Configure(ctx) }); err != nil {
		return errors.Join(err, l.finalize())
	}
	l.set(Inactive)
	return nil
}

// Activate calls the backend's Activate and, after an error, its Deactivate.
func (l *Lifecycle) Activate(ctx context.Context) error {
	if err := l.check("activate", Inactive); err != nil {
		return err
	}
	if err := guard(func() error { return l.backend.Activate(ctx) }); err != nil {
		return errors.Join(err, l.deactivate(ctx))
	}
	l.set(Active)
	return nil
}

// Read calls the backend's Read.
func (l *Lifecycle) Read(ctx context.Context, o *message.Observation) (err error) {
	if s := l.State(); s != Inactive && s != Active {
		return &StateError{"read", s, []State{Inactive, Active}}
	}
	defer recoverTo(&err)
	return l.backend.Read(ctx, o)
}

// Write calls the backend's Write.
func (l *Lifecycle) Write(ctx context.Context, c *message.JointCommand) (err error) {
	if s := l.State(); s != Active {
		return &StateError{"write", s, []State{Active}}
	}
	defer recoverTo(&err)
	return l.backend.Write(ctx, c)
}

// Deactivate brings the robot into the safe state, although ctx may be done: it calls the backend's Deactivate up to three
// times within 100 ms, and then Close. In the state inactive it does nothing.
func (l *Lifecycle) Deactivate(ctx context.Context) error {
	if err := l.check("deactivate", Inactive, Active); err != nil {
		return err
	}
	if l.State() == Inactive {
		return nil
	}
	return l.deactivate(ctx)
}

func (l *Lifecycle) deactivate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deactivateTimeout)
	defer cancel()
	var err error
	for range deactivateAttempts {
		if err = guard(func() error { return l.backend.Deactivate(ctx) }); err == nil {
			l.set(Inactive)
			return nil
		}
	}
	return errors.Join(fmt.Errorf("backend: deactivate failed %d times: %w", deactivateAttempts, err), l.finalize())
}

// Close deactivates an active backend and then releases its resources. Further calls return nil.
func (l *Lifecycle) Close() error {
	var err error
	if l.State() == Active {
		err = l.deactivate(context.Background())
	}
	if l.State() == Finalized {
		return err
	}
	return errors.Join(err, l.finalize())
}

func (l *Lifecycle) finalize() error {
	l.set(Finalized)
	return guard(l.backend.Close)
}

func (l *Lifecycle) set(s State) { l.state.Store(uint32(s)) }

func (l *Lifecycle) check(call string, allowed ...State) error {
	if s := l.State(); !slices.Contains(allowed, s) {
		return &StateError{call, s, allowed}
	}
	return nil
}

// guard calls f and returns a panic as an error.
func guard(f func() error) (err error) {
	defer recoverTo(&err)
	return f()
}

func recoverTo(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
