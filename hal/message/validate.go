package message

import (
	"fmt"
	"math"
	"strconv"

	"krabby.dev/krabby/hal/robot"
)

// OrientationNormTolerance is the maximum difference between the norm of an orientation and 1.
const OrientationNormTolerance = 1e-2

// MaxMagnitude is the maximum magnitude of the numbers of an observation, of gains and of velocity commands, in their units.
// Larger numbers are no measurements, and may overflow in float32 arithmetic.
const MaxMagnitude = 1e6

// FieldError is the error of an invalid field of a message.
type FieldError struct {
	// Field is the snake_case name of the field, with an index for a value of a slice.
	Field string
	// Found and Expected describe the value of the field.
	Found, Expected string
}

// Error names the field, what was found and what was expected.
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: found %s, expected %s", e.Field, e.Found, e.Expected)
}

// Validate returns a *FieldError for the first invalid field: a slice of the wrong length for r, a value that is not finite or
// exceeds [MaxMagnitude], an orientation that is not a unit quaternion, an image that exceeds [MaxImageSide] or
// [MaxImagePixels] or does not have the size of its pixels, or a confidence that does not have the size of the depth.
//
// Pixels may have any value: NaN in a depth is an occlusion. Validate of a valid observation does not allocate.
func (o *Observation) Validate(r *robot.Robot) error {
	n := len(r.Joints)
	if err := bounded("position_rad", o.PositionRad, n); err != nil {
		return err
	}
	if err := bounded("velocity_rad_per_sec", o.VelocityRadPerSec, n); err != nil {
		return err
	}
	if err := bounded("effort_nm", o.EffortNm, n); err != nil {
		return err
	}
	if err := finite("imu.orientation", o.IMU.Orientation[:], 4); err != nil {
		return err
	}
	q := o.IMU.Orientation
	if norm := math.Sqrt(q[0]*q[0] + q[1]*q[1] + q[2]*q[2] + q[3]*q[3]); math.Abs(norm-1) > OrientationNormTolerance {
		return &FieldError{"imu.orientation", "a norm of " + number(norm), "1 ± " + number(OrientationNormTolerance)}
	}
	if err := bounded("imu.angular_velocity_rad_per_sec", o.IMU.AngularVelocityRadPerSec[:], 3); err != nil {
		return err
	}
	if err := bounded("imu.linear_acceleration_mps2", o.IMU.LinearAccelerationMps2[:], 3); err != nil {
		return err
	}
	if o.BaseVelocityKnown {
		if err := bounded("base_velocity_mps", o.BaseVelocityMps[:], 3); err != nil {
			return err
		}
	}
	if len(o.Contacts) != len(r.Feet) {
		return lengthError("contacts", len(o.Contacts), len(r.Feet))
	}
	return o.validateImages()
}

func (o *Observation) validateImages() error {
	if err := validateImage("rgb_1", o.RGB1.ImageStamp, o.RGB1.Height, o.RGB1.Width, len(o.RGB1.Pixels), 3); err != nil {
		return err
	}
	if err := validateImage("rgb_2", o.RGB2.ImageStamp, o.RGB2.Height, o.RGB2.Width, len(o.RGB2.Pixels), 3); err != nil {
		return err
	}
	if err := validateImage("depth", o.Depth.ImageStamp, o.Depth.Height, o.Depth.Width, len(o.Depth.Values), 1); err != nil {
		return err
	}
	if err := validateImage("confidence", o.Confidence.ImageStamp, o.Confidence.Height, o.Confidence.Width, len(o.Confidence.Values), 1); err != nil {
		return err
	}
	if o.Depth.Present() && o.Confidence.Present() && (o.Depth.Height != o.Confidence.Height || o.Depth.Width != o.Confidence.Width) {
		return &FieldError{"confidence", size(o.Confidence.Height, o.Confidence.Width), size(o.Depth.Height, o.Depth.Width) + ", the size of the depth"}
	}
	return nil
}

// Validate returns a *FieldError for the first invalid field: a slice of the wrong length for r, a value that is not finite, or
// a gain that is negative or exceeds [MaxMagnitude]. A feed-forward effort has one value per joint or is empty. The safety gate
// checks the limits of joints and the age of the command. Validate of a valid command does not allocate.
func (c *JointCommand) Validate(r *robot.Robot) error {
	n := len(r.Joints)
	if err := finite("target_rad", c.TargetRad, n); err != nil {
		return err
	}
	if err := gains("kp", c.Kp, n); err != nil {
		return err
	}
	if err := gains("kd", c.Kd, n); err != nil {
		return err
	}
	if len(c.FeedForwardNm) == 0 {
		return nil
	}
	return finite("feed_forward_nm", c.FeedForwardNm, n)
}

// Validate returns a *FieldError for the first velocity that is not finite or exceeds [MaxMagnitude].
func (c NavigationCommand) Validate() error {
	if err := boundedNumber("vx_mps", c.VxMps); err != nil {
		return err
	}
	if err := boundedNumber("vy_mps", c.VyMps); err != nil {
		return err
	}
	return boundedNumber("yaw_rate_rad_per_sec", c.YawRateRadPerSec)
}

// finite checks the length, and that all values are finite.
func finite(field string, values []float64, n int) error {
	if len(values) != n {
		return lengthError(field, len(values), n)
	}
	for i, v := range values {
		if !isFinite(v) {
			return &FieldError{element(field, i), number(v), "a finite number"}
		}
	}
	return nil
}

// bounded checks the length, and that all values are finite and at most MaxMagnitude.
func bounded(field string, values []float64, n int) error {
	if err := finite(field, values, n); err != nil {
		return err
	}
	for i, v := range values {
		if math.Abs(v) > MaxMagnitude {
			return magnitudeError(element(field, i), v)
		}
	}
	return nil
}

// boundedNumber is bounded for a field that is not a slice.
func boundedNumber(field string, v float64) error {
	if !isFinite(v) {
		return &FieldError{field, number(v), "a finite number"}
	}
	if math.Abs(v) > MaxMagnitude {
		return magnitudeError(field, v)
	}
	return nil
}

func magnitudeError(field string, v float64) error {
	return &FieldError{field, number(v), number(-MaxMagnitude) + " to " + number(MaxMagnitude)}
}

// gains is bounded for values that must not be negative.
func gains(field string, values []float64, n int) error {
	if err := bounded(field, values, n); err != nil {
		return err
	}
	for i, v := range values {
		if v < 0 {
			return &FieldError{element(field, i), number(v), "a gain of 0 or more"}
		}
	}
	return nil
}

func lengthError(field string, found, expected int) error {
	return &FieldError{field, strconv.Itoa(found) + " values", strconv.Itoa(expected)}
}

func element(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
