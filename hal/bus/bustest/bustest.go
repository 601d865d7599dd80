// Package bustest has helpers for tests that use package bus.
package bustest

import (
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
)

// Patience limits waits for what must happen. It is not a limit of performance.
const Patience = 10 * time.Second

// Must returns a function that returns its first argument, and ends the test if the second is an error.
func Must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// NewContext returns a context that is closed at the end of the test.
func NewContext(t testing.TB) *bus.Context {
	t.Helper()
	c := Must[*bus.Context](t)(bus.NewContext())
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Retry calls f until it succeeds: the system may keep an address in use for some time, and connections take some.
func Retry[T any](t testing.TB, f func() (T, error)) T {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; time.Sleep(time.Millisecond) {
		v, err := f()
		if err == nil {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// Eventually waits until f returns true. condition describes what f checks.
func Eventually(t testing.TB, condition string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", Patience, condition)
		}
	}
}

// NoConnections implements bus.ConnectionCounter for sockets without connections. Embed it in a fake socket.
type NoConnections struct{}

// Connections returns zeros.
func (NoConnections) Connections() bus.Connections { return bus.Connections{} }
