package message

import (
	"fmt"
	"math"
	"strconv"

	"krabby.dev/krabby/hal/robot"
)

// UnitTolerance is how far the norm of an orientation may be from 1.
const UnitTolerance = 1e-2

// MaxMagnitude bounds, in their units, the numbers of an observation, gains and velocities asked for: more is no
// measurement, and might not survive float32 arithmetic.
const MaxMagnitude = 1e6

// FieldError says which field of a message is wrong, what was found in it and what was expected.
type FieldError struct {
	Field    string
	Found    string
	Expected string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: found %s, expected %s", e.Field, e.Found, e.Expected)
}

// Validate returns a *FieldError for the first field that does not fit r: a slice of the wrong length, a value that is
// not finite or beyond [MaxMagnitude], an orientation that is not a unit quaternion, an image whose size exceeds
// [MaxImageSide] or [MaxImagePixels] or is not that of its pixels, or a confidence that has not the size of the depth.
//
// It looks at each joint and foot once and never at pixels, which may be anything: NaN in a depth is an occlusion. It
// does not allocate when there is nothing to report.
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
	if norm := math.Sqrt(q[0]*q[0] + q[1]*q[1] + q[2]*q[2] + q[3]*q[3]); math.Abs(norm-1) > UnitTolerance {
		return &FieldError{"imu.orientation", "a norm of " + number(norm), "1 ± " + number(UnitTolerance)}
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

// Validate returns a *FieldError for the first field that does not fit r: a slice of the wrong length, a value that is
// not finite, or a gain that is negative or beyond [MaxMagnitude]. A feed-forward effort has no values or one a joint.
// Limits of joints and ages are the server's gate, not validity. It does not allocate when there is nothing to report.
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

// Validate returns a *FieldError for the first velocity that is not finite or beyond [MaxMagnitude].
func (c NavigationCommand) Validate() error {
	if err := boundedNumber("vx_mps", c.VxMps); err != nil {
		return err
	}
	if err := boundedNumber("vy_mps", c.VyMps); err != nil {
		return err
	}
	return boundedNumber("yaw_rate_rad_per_sec", c.YawRateRadPerSec)
}

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

// bounded is finite, and not beyond MaxMagnitude.
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

// boundedNumber does not take a slice: an error would have to be told about an element.
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
