package message

import (
	"errors"
	"math"
	"slices"
	"testing"

	"krabby.dev/krabby/hal/robot"
)

func TestObservationValidation(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(-1)
	tests := []struct {
		name   string
		change func(*Observation)
		want   string
	}{
		{"a fresh observation is valid", func(*Observation) {}, ""},
		{"a norm within the tolerance is valid", func(o *Observation) { o.IMU.Orientation = [4]float64{0, 0, 0, 1.005} }, ""},
		{"short positions", func(o *Observation) { o.PositionRad = o.PositionRad[:11] }, "position_rad: found 11 values, expected 12"},
		{"long velocities", func(o *Observation) { o.VelocityRadPerSec = make([]float64, 18) }, "velocity_rad_per_sec: found 18 values, expected 12"},
		{"no efforts", func(o *Observation) { o.EffortNm = nil }, "effort_nm: found 0 values, expected 12"},
		{"short contacts", func(o *Observation) { o.Contacts = o.Contacts[:3] }, "contacts: found 3 values, expected 4"},
		{"a NaN position", func(o *Observation) { o.PositionRad[3] = nan }, "position_rad[3]: found NaN, expected a finite number"},
		{"an infinite velocity", func(o *Observation) { o.VelocityRadPerSec[11] = inf }, "velocity_rad_per_sec[11]: found -Inf, expected a finite number"},
		{"a NaN effort", func(o *Observation) { o.EffortNm[0] = nan }, "effort_nm[0]: found NaN, expected a finite number"},
		{"a NaN orientation", func(o *Observation) { o.IMU.Orientation[2] = nan }, "imu.orientation[2]: found NaN, expected a finite number"},
		{"no orientation", func(o *Observation) { o.IMU.Orientation = [4]float64{} }, "imu.orientation: found a norm of 0, expected 1 ± 0.01"},
		{"an orientation that is not unit", func(o *Observation) { o.IMU.Orientation = [4]float64{2, 0, 0, 0} }, "imu.orientation: found a norm of 2, expected 1 ± 0.01"},
		{"a NaN rate", func(o *Observation) { o.IMU.AngularVelocityRadPerSec[1] = nan }, "imu.angular_velocity_rad_per_sec[1]: found NaN, expected a finite number"},
		{"a NaN acceleration", func(o *Observation) { o.IMU.LinearAccelerationMps2[2] = nan }, "imu.linear_acceleration_mps2[2]: found NaN, expected a finite number"},
		{"a NaN base velocity", func(o *Observation) { o.BaseVelocityMps[0] = nan }, "base_velocity_mps[0]: found NaN, expected a finite number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := robot.Go1()
			o := NewObservation(r)
			tt.change(o)
			checkError(t, o.Validate(r), tt.want)
		})
	}
}

func TestJointCommandValidation(t *testing.T) {
	tests := []struct {
		name   string
		change func(*JointCommand)
		want   string
	}{
		{"a fresh command is valid", func(*JointCommand) {}, ""},
		{"a target outside the limits is the gate's business", func(c *JointCommand) { c.TargetRad[0] = 9 }, ""},
		{"zero gains are valid", func(c *JointCommand) { clear(c.Kp); clear(c.Kd) }, ""},
		{"no targets", func(c *JointCommand) { c.TargetRad = nil }, "target_rad: found 0 values, expected 12"},
		{"short kp", func(c *JointCommand) { c.Kp = c.Kp[:1] }, "kp: found 1 values, expected 12"},
		{"short kd", func(c *JointCommand) { c.Kd = c.Kd[:1] }, "kd: found 1 values, expected 12"},
		{"a NaN target", func(c *JointCommand) { c.TargetRad[11] = math.NaN() }, "target_rad[11]: found NaN, expected a finite number"},
		{"an infinite kp", func(c *JointCommand) { c.Kp[1] = math.Inf(1) }, "kp[1]: found +Inf, expected a finite number"},
		{"a negative kd", func(c *JointCommand) { c.Kd[2] = -0.5 }, "kd[2]: found -0.5, expected a gain of 0 or more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := robot.Go1()
			c := NewJointCommand(r)
			tt.change(c)
			checkError(t, c.Validate(r), tt.want)
		})
	}
}

func TestNavigationCommandValidation(t *testing.T) {
	tests := []struct {
		in   NavigationCommand
		want string
	}{
		{NavigationCommand{0.5, 0, -1}, ""},
		{NavigationCommand{VxMps: math.NaN()}, "vx_mps: found NaN, expected a finite number"},
		{NavigationCommand{VyMps: math.Inf(1)}, "vy_mps: found +Inf, expected a finite number"},
		{NavigationCommand{YawRateRadPerSec: math.Inf(-1)}, "yaw_rate_rad_per_sec: found -Inf, expected a finite number"},
	}
	for _, tt := range tests {
		checkError(t, tt.in.Validate(), tt.want)
	}
}

func TestValidationOfGoodMessagesDoesNotAllocate(t *testing.T) {
	r := robot.Go1()
	o, c := NewObservation(r), NewJointCommand(r)
	if n := testing.AllocsPerRun(100, func() {
		if o.Validate(r) != nil || c.Validate(r) != nil {
			t.Fatal("a fresh message is not valid")
		}
	}); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}

func TestResizeKeepsMemory(t *testing.T) {
	o := NewObservation(robot.Go1())
	first := &o.PositionRad[0]
	o.Resize(6, 2)
	o.Resize(12, 4)
	if &o.PositionRad[0] != first || len(o.PositionRad) != 12 || len(o.Contacts) != 4 {
		t.Errorf("Resize gave %d joints and %d feet in other memory", len(o.PositionRad), len(o.Contacts))
	}
}

func TestCopyFromSharesNothing(t *testing.T) {
	from := NewJointCommand(robot.Go1())
	from.Sequence = 7
	var to JointCommand
	to.CopyFrom(from)
	want := slices.Clone(from.TargetRad)
	from.TargetRad[0] = 99
	if to.Sequence != 7 || !slices.Equal(to.TargetRad, want) {
		t.Errorf("copy = sequence %d targets %v, want 7 and %v", to.Sequence, to.TargetRad, want)
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("error = %q, want none", err)
		}
		return
	}
	var field *FieldError
	if !errors.As(err, &field) {
		t.Fatalf("error = %v, want a *FieldError", err)
	}
	if err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
}
