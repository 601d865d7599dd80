// Package backendtest prepares backends for tests.
package backendtest

import (
	"testing"

	"krabby.dev/krabby/hal/backend"
)

// Configured returns the life cycle of b in the state inactive. It is closed at the end of the test.
func Configured(t testing.TB, b backend.Backend) *backend.Lifecycle {
	t.Helper()
	l := backend.NewLifecycle(b)
	if err := l.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Active returns the life cycle of b in the state active. It is closed at the end of the test.
func Active(t testing.TB, b backend.Backend) *backend.Lifecycle {
	t.Helper()
	l := Configured(t, b)
	if err := l.Activate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}
