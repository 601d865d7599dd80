package backends_test

import (
	"slices"
	"testing"
	"time"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/backends"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/robot"
)

func TestAll(t *testing.T) {
	names := backends.Names(backends.All())
	if want := []string{"synthetic", "mujoco"}; !slices.Equal(names, want) || !slices.Contains(names, backends.Default) {
		t.Errorf("names = %q, default %q; want %q with the default", names, backends.Default, want)
	}
}

func TestByName(t *testing.T) {
	f, err := backends.ByName(backends.All(), "synthetic")
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.New(backend.Config{Robot: robot.Go1(), Period: 10 * time.Millisecond, Clock: clock.New()})
	if err != nil || b.Health().Condition != backend.OK {
		t.Errorf("New = %v, %v; want a healthy backend", b, err)
	}
	if _, err := backends.ByName(backends.All(), "jetson"); err == nil || err.Error() != `backend "jetson" not found, available: synthetic, mujoco` {
		t.Errorf("error = %v, want the available backends", err)
	}
}
