package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/message"
)

// faulty is a rig's backend that fails to activate, or panics.
type faulty struct {
	*rig
	activateErr error
	panics      bool
}

func (f *faulty) Activate(context.Context) error { return f.activateErr }

func (f *faulty) Read(ctx context.Context, o *message.Observation) error {
	if f.panics {
		panic("bus driver")
	}
	return f.rig.Read(ctx, o)
}

func (f *faulty) Write(ctx context.Context, c *message.JointCommand) error {
	if f.panics {
		panic("bus driver")
	}
	return f.rig.Write(ctx, c)
}

func TestRun_activateError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		noPower := errors.New("no power")
		r.server.backend = backendtest.Configured(t, &faulty{rig: r, activateErr: noPower})
		if err := r.server.Run(t.Context()); !errors.Is(err, noPower) {
			t.Errorf("Run = %v, want the backend's error", err)
		}
		if st := r.server.Stats(); st.Steps != 0 || st.Backend.State != "inactive" || st.Backend.Condition != backend.OK {
			t.Errorf("stats = %+v, want no step and an inactive backend", st)
		}
	})
}

func TestRun_backendPanics(t *testing.T) {
	play(t, func(t *testing.T, r *rig) {
		r.send(nil)
		r.ticks(1)
		f := &faulty{rig: r, panics: true}
		r.server.backend = backendtest.Active(t, f)
		before := r.server.Stats()
		r.ticks(3)
		st := r.server.Stats()
		if st.Steps != before.Steps+3 || st.Unpublished["read"] != 3 || st.WriteErrors != before.WriteErrors+3 {
			t.Errorf("stats = %+v, want 3 more steps, each with a failed read and write", st)
		}
		f.panics = false
		r.ticks(1)
		if after := r.server.Stats(); after.Published != before.Published+1 || after.WriteErrors != st.WriteErrors {
			t.Errorf("stats = %+v, want the loop to continue", after)
		}
	})
}

func TestStats_backend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, want := range []string{"active", "inactive", "finalized"} {
			if st := r.server.Stats().Backend; st.State != want || (st.Condition == backend.OK) != (want != "finalized") {
				t.Errorf("backend = %+v, want %s", st, want)
			}
			switch want {
			case "active":
				if err := r.server.Deactivate(t.Context()); err != nil {
					t.Fatal(err)
				}
			case "inactive":
				if err := r.server.backend.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
