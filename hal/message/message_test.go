package message

import (
	"errors"
	"math"
	"slices"
	"testing"

	"krabby.dev/krabby/hal/robot"
)

func TestObservation_Validate(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(-1)
	tests := []struct {
		name   string
		change func(*Observation)
		want   string
	}{
		{"new", func(*Observation) {}, ""},
		{"norm within tolerance", func(o *Observation) { o.IMU.Orientation = [4]float64{0, 0, 0, 1.005} }, ""},
		{"short positions", func(o *Observation) { o.PositionRad = o.PositionRad[:11] }, "position_rad: found 11 values, expected 12"},
		{"long velocities", func(o *Observation) { o.VelocityRadPerSec = make([]float64, 18) }, "velocity_rad_per_sec: found 18 values, expected 12"},
		{"no efforts", func(o *Observation) { o.EffortNm = nil }, "effort_nm: found 0 values, expected 12"},
		{"short contacts", func(o *Observation) { o.Contacts = o.Contacts[:3] }, "contacts: found 3 values, expected 4"},
		{"NaN position", func(o *Observation) { o.PositionRad[3] = nan }, "position_rad[3]: found NaN, expected a finite number"},
		{"infinite velocity", func(o *Observation) { o.VelocityRadPerSec[11] = inf }, "velocity_rad_per_sec[11]: found -Inf, expected a finite number"},
		{"NaN effort", func(o *Observation) { o.EffortNm[0] = nan }, "effort_nm[0]: found NaN, expected a finite number"},
		{"NaN orientation", func(o *Observation) { o.IMU.Orientation[2] = nan }, "imu.orientation[2]: found NaN, expected a finite number"},
		{"zero orientation", func(o *Observation) { o.IMU.Orientation = [4]float64{} }, "imu.orientation: found a norm of 0, expected 1 ± 0.01"},
		{"orientation not normalized", func(o *Observation) { o.IMU.Orientation = [4]float64{2, 0, 0, 0} }, "imu.orientation: found a norm of 2, expected 1 ± 0.01"},
		{"NaN angular velocity", func(o *Observation) { o.IMU.AngularVelocityRadPerSec[1] = nan }, "imu.angular_velocity_rad_per_sec[1]: found NaN, expected a finite number"},
		{"NaN acceleration", func(o *Observation) { o.IMU.LinearAccelerationMps2[2] = nan }, "imu.linear_acceleration_mps2[2]: found NaN, expected a finite number"},
		{"NaN base velocity", func(o *Observation) { o.BaseVelocityKnown, o.BaseVelocityMps[0] = true, nan }, "base_velocity_mps[0]: found NaN, expected a finite number"},
		{"unknown base velocity", func(o *Observation) { o.BaseVelocityMps[0] = nan }, ""},
		{"velocity above maximum magnitude", func(o *Observation) { o.VelocityRadPerSec[2] = 1e7 }, "velocity_rad_per_sec[2]: found 1e+07, expected -1e+06 to 1e+06"},
		{"all images", func(o *Observation) { images(o) }, ""},
		{"NaN and infinite depth", func(o *Observation) {
			images(o)
			o.Depth.Values[0], o.Depth.Values[1] = float32(nan), float32(inf)
		}, ""},
		{"single image", func(o *Observation) { o.Confidence.Resize(1, 1) }, ""},
		{"image without pixels", func(o *Observation) { images(o); o.RGB1.Pixels = nil }, "rgb_1: found 0 values, expected 18"},
		{"pixels without image", func(o *Observation) { images(o); o.RGB2.Height, o.RGB2.Width = 0, 0 }, "rgb_2: found 18 values, expected 0"},
		{"depth size mismatch", func(o *Observation) { images(o); o.Depth.Height = 3 }, "depth: found 6 values, expected 9"},
		{"image without columns", func(o *Observation) { o.RGB1.Height = 2 }, "rgb_1: found 2x0, expected 1 to 4096 a side, at most 4194304 pixels"},
		{"negative image size", func(o *Observation) { o.Depth.Height, o.Depth.Width = -1, -1 }, "depth: found -1x-1, expected 1 to 4096 a side, at most 4194304 pixels"},
		{"image too long", func(o *Observation) { o.RGB2.Resize(4097, 1) }, "rgb_2: found 4097x1, expected 1 to 4096 a side, at most 4194304 pixels"},
		{"image too large", func(o *Observation) { o.RGB2.Height, o.RGB2.Width = 4096, 4096 }, "rgb_2: found 4096x4096, expected 1 to 4096 a side, at most 4194304 pixels"},
		{"NaN rate", func(o *Observation) { images(o); o.Depth.RateHz = nan }, "depth.rate_hz: found NaN, expected 0 to 1e+06"},
		{"negative rate", func(o *Observation) { images(o); o.RGB1.RateHz = -30 }, "rgb_1.rate_hz: found -30, expected 0 to 1e+06"},
		{"confidence size mismatch", func(o *Observation) { images(o); o.Confidence.Resize(3, 2) }, "confidence: found 3x2, expected 2x3, the size of the depth"},
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

func TestJointCommand_Validate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*JointCommand)
		want   string
	}{
		{"new", func(*JointCommand) {}, ""},
		{"target outside range", func(c *JointCommand) { c.TargetRad[0] = 9 }, ""},
		{"zero gains", func(c *JointCommand) { clear(c.Kp); clear(c.Kd) }, ""},
		{"no targets", func(c *JointCommand) { c.TargetRad = nil }, "target_rad: found 0 values, expected 12"},
		{"short kp", func(c *JointCommand) { c.Kp = c.Kp[:1] }, "kp: found 1 values, expected 12"},
		{"short kd", func(c *JointCommand) { c.Kd = c.Kd[:1] }, "kd: found 1 values, expected 12"},
		{"NaN target", func(c *JointCommand) { c.TargetRad[11] = math.NaN() }, "target_rad[11]: found NaN, expected a finite number"},
		{"infinite kp", func(c *JointCommand) { c.Kp[1] = math.Inf(1) }, "kp[1]: found +Inf, expected a finite number"},
		{"kp above maximum magnitude", func(c *JointCommand) { c.Kp[1] = 1e7 }, "kp[1]: found 1e+07, expected -1e+06 to 1e+06"},
		{"feed-forward effort", func(c *JointCommand) { c.FeedForwardNm = make([]float64, 12) }, ""},
		{"short feed-forward effort", func(c *JointCommand) { c.FeedForwardNm = make([]float64, 6) }, "feed_forward_nm: found 6 values, expected 12"},
		{"infinite feed-forward effort", func(c *JointCommand) {
			c.FeedForwardNm = make([]float64, 12)
			c.FeedForwardNm[7] = math.Inf(-1)
		}, "feed_forward_nm[7]: found -Inf, expected a finite number"},
		{"negative kd", func(c *JointCommand) { c.Kd[2] = -0.5 }, "kd[2]: found -0.5, expected a gain of 0 or more"},
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

func TestNavigationCommand_Validate(t *testing.T) {
	tests := []struct {
		in   NavigationCommand
		want string
	}{
		{NavigationCommand{VxMps: 0.5, YawRateRadPerSec: -1}, ""},
		{NavigationCommand{VxMps: math.NaN()}, "vx_mps: found NaN, expected a finite number"},
		{NavigationCommand{VyMps: math.Inf(1)}, "vy_mps: found +Inf, expected a finite number"},
		{NavigationCommand{VxMps: -2e6}, "vx_mps: found -2e+06, expected -1e+06 to 1e+06"},
		{NavigationCommand{YawRateRadPerSec: math.Inf(-1)}, "yaw_rate_rad_per_sec: found -Inf, expected a finite number"},
	}
	for _, tt := range tests {
		checkError(t, tt.in.Validate(), tt.want)
	}
}

func TestValidate_allocations(t *testing.T) {
	r := robot.Go1()
	o, c := NewObservation(r), NewJointCommand(r)
	images(o)
	o.BaseVelocityKnown, c.FeedForwardNm = true, make([]float64, 12)
	if n := testing.AllocsPerRun(100, func() {
		if o.Validate(r) != nil || c.Validate(r) != nil {
			t.Fatal("a new message is invalid")
		}
	}); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}

func TestObservation_Resize_reusesMemory(t *testing.T) {
	o := NewObservation(robot.Go1())
	first := &o.PositionRad[0]
	o.Resize(6, 2)
	o.Resize(12, 4)
	if &o.PositionRad[0] != first || len(o.PositionRad) != 12 || len(o.Contacts) != 4 {
		t.Errorf("Resize allocated memory, or set %d joints and %d feet; want 12 and 4 in the same memory", len(o.PositionRad), len(o.Contacts))
	}
}

// images sets four images of 2 rows and 3 columns.
func images(o *Observation) {
	for i, image := range []*ColorImage{&o.RGB1, &o.RGB2} {
		image.Resize(2, 3)
		image.ImageStamp = ImageStamp{Sequence: uint64(1 + i), MonotonicNs: 5, RateHz: 30}
		for n := range image.Pixels {
			image.Pixels[n] = byte(n + 20*i)
		}
	}
	for i, image := range []*ScalarImage{&o.Depth, &o.Confidence} {
		image.Resize(2, 3)
		image.ImageStamp = ImageStamp{Sequence: uint64(3 + i), MonotonicNs: 6, RateHz: 15}
		for n := range image.Values {
			image.Values[n] = float32(n) + 0.5
		}
	}
}

func TestCopyFrom(t *testing.T) {
	from := NewJointCommand(robot.Go1())
	from.Sequence, from.FeedForwardNm = 7, []float64{1, 2, 3}
	var to JointCommand
	to.CopyFrom(from)
	want := slices.Clone(from.TargetRad)
	from.TargetRad[0], from.FeedForwardNm[0] = 99, 99
	if to.Sequence != 7 || !slices.Equal(to.TargetRad, want) || !slices.Equal(to.FeedForwardNm, []float64{1, 2, 3}) {
		t.Errorf("copy = sequence %d targets %v feed-forward %v, want 7, %v and 1 2 3", to.Sequence, to.TargetRad, to.FeedForwardNm, want)
	}

	o := NewObservation(robot.Go1())
	images(o)
	o.Sequence = 8
	var copied Observation
	copied.CopyFrom(o)
	o.PositionRad[0], o.RGB1.Pixels[17], o.Depth.Values[5] = 99, 99, 99
	if copied.Sequence != 8 || copied.PositionRad[0] == 99 || copied.RGB1.Pixels[17] != 17 || copied.RGB2.Pixels[0] != 20 ||
		copied.Depth.Values[5] != 5.5 || copied.RGB1.ImageStamp != o.RGB1.ImageStamp || copied.Confidence.Width != 3 {
		t.Errorf("copy = %+v, want the original before its change: %+v", copied, o)
	}
	o.RGB1.Clear()
	first := &copied.RGB1.own[0]
	copied.CopyFrom(o)
	if copied.RGB1.Present() {
		t.Error("the copy has an image that the original does not have")
	}
	images(o)
	copied.CopyFrom(o)
	if &copied.RGB1.Pixels[0] != first {
		t.Error("the copy allocated memory for an image that fits in its own")
	}
}

func TestBorrow_readOnly(t *testing.T) {
	frame := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	want := slices.Clone(frame)
	var from, o Observation
	images(&from)
	o.RGB1.Borrow(2, 2, frame)
	if &o.RGB1.Pixels[0] != &frame[0] || o.RGB1.Height != 2 || o.RGB1.Width != 2 || cap(o.RGB1.Pixels) != 12 {
		t.Errorf("borrowed image = %+v, want 2x2 pixels in place", o.RGB1)
	}
	o.Depth.Borrow(3, 1, frame)
	o.CopyFrom(&from)
	if !slices.Equal(frame, want) {
		t.Errorf("CopyFrom wrote to borrowed memory: %v", frame)
	}
	o.RGB1.Borrow(2, 2, frame)
	o.RGB1.Resize(2, 2)
	clear(o.RGB1.Pixels)
	if !slices.Equal(frame, want) {
		t.Errorf("a resized image uses borrowed memory: %v", frame)
	}
}

func TestCopyFrom_self(t *testing.T) {
	frame := []byte{1, 2, 3, 0, 0, 0, 0x80, 0x3f}
	o := NewObservation(robot.Go1())
	o.RGB1.Borrow(1, 1, frame[:3])
	o.Depth.Borrow(1, 1, frame[4:])
	o.CopyFrom(o)
	clear(frame)
	if !slices.Equal(o.RGB1.Pixels, []byte{1, 2, 3}) || !slices.Equal(o.Depth.Values, []float32{1}) || len(o.PositionRad) != 12 || o.PositionRad[0] != 0.1 {
		t.Errorf("after clearing the frame: pixels %v, depth %v, positions %v", o.RGB1.Pixels, o.Depth.Values, o.PositionRad)
	}
}

func TestScalarImage_Borrow_alignment(t *testing.T) {
	var image ScalarImage
	image.Resize(2, 2)
	copy(image.Values, []float32{0.5, -1, 3e38, float32(math.Inf(1))})
	for offset := range 5 {
		memory := image.AppendTo(make([]byte, offset, 32))
		var got ScalarImage
		got.Borrow(2, 2, memory[offset:])
		if got.Height != 2 || got.Width != 2 || !slices.Equal(got.Values, image.Values) {
			t.Errorf("at offset %d: %+v, want %v", offset, got, image.Values)
		}
		clear(memory) // Changes borrowed values only.
		if borrowed := got.Values[0] == 0; borrowed != (offset%4 == 0) {
			t.Errorf("at offset %d: borrowed = %v", offset, borrowed)
		}
	}
	if want := []byte{0, 0, 0, 0x3f, 0, 0, 0x80, 0xbf}; !slices.Equal(image.AppendTo(nil)[:8], want) {
		t.Errorf("bytes = % x, want % x", image.AppendTo(nil)[:8], want)
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
