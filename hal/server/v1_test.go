package server

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	v1 "krabby.dev/krabby/hal/wire/v1"
)

// v1Client answers each observation of version 1 with a command.
type v1Client struct {
	bustest.NoConnections
	observation v1.Observation
	encoder     v1.Encoder
	command     [][]byte // Nil after it was received.
}

func (c *v1Client) Publish(parts [][]byte) error {
	if err := v1.DecodeObservation(&c.observation, parts); err != nil {
		return err
	}
	var err error
	c.command, err = c.encoder.EncodeJointCommand(&v1.JointCommand{ObservationTimestampNs: c.observation.TimestampNs, TargetRad: robot.Go1().DefaultPoseRad})
	return err
}

func (c *v1Client) TryReceive() ([][]byte, error) {
	if c.command == nil {
		return nil, bus.ErrEmpty
	}
	parts := c.command
	c.command = nil
	return parts, nil
}

// A client of version 1 states no gains: its commands have those of the policy, and the gate, which allows no others, accepts them.
func TestWithV1Gains(t *testing.T) {
	kp, kd := slices.Repeat([]float64{20}, 12), slices.Repeat([]float64{0.4}, 12) // Smaller than the robot's.
	for name, tt := range map[string]struct {
		opts     []Option
		rejected bool
	}{
		"gains of the policy": {[]Option{WithV1Gains(kp, kd)}, false},
		"gains of the robot":  {nil, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, client := &rig{t: t, start: time.Now(), next: time.Now()}, &v1Client{}
			opts := append([]Option{WithSession(session), WithV1(client, client, 2, 2), WithSafety(safety.DefaultsFor(robot.Go1(), kp, kd))}, tt.opts...)
			var err error
			if r.server, err = New(robot.Go1(), backendtest.Active(t, r), r, r, opts...); err != nil {
				t.Fatal(err)
			}
			r.ticks(3)
			st := r.server.Stats()
			if rejected := st.Rejected[string(safety.RejectGain)] > 0; rejected != tt.rejected {
				t.Fatalf("%s: rejected %v, want for their gains: %v", name, st.Rejected, tt.rejected)
			}
			if tt.rejected {
				return
			}
			if last := r.written[len(r.written)-1]; st.Applied == 0 || !slices.Equal(last.Kp, kp) || !slices.Equal(last.Kd, kd) {
				t.Errorf("%s: %d commands applied, the last with kp %v, kd %v; want %v and %v", name, st.Applied, last.Kp, last.Kd, kp, kd)
			}
		})
	}
}

func TestWithV1Gains_invalid(t *testing.T) {
	_, err := New(robot.Go1(), nil, nil, nil, WithV1Gains([]float64{1}, []float64{1}))
	if want := "server: gains of version 1: found 1 and 1 values, expected 12 of each"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
