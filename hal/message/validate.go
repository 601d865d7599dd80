package message

import (
	"fmt"
	"math"
	"strconv"

	"krabby.dev/krabby/hal/robot"
)

// UnitTolerance is how far the norm of an orientation may be from 1.
const UnitTolerance = 1e-2

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
// not finite, or an orientation that is not a unit quaternion. It does not allocate when there is nothing to report.
func (o *Observation) Validate(r *robot.Robot) error {
	n := len(r.Joints)
	if err := finite("position_rad", o.PositionRad, n); err != nil {
		return err
	}
	if err := finite("velocity_rad_per_sec", o.VelocityRadPerSec, n); err != nil {
		return err
	}
	if err := finite("effort_nm", o.EffortNm, n); err != nil {
		return err
	}
	if err := finite("imu.orientation", o.IMU.Orientation[:], 4); err != nil {
		return err
	}
	q := o.IMU.Orientation
	if norm := math.Sqrt(q[0]*q[0] + q[1]*q[1] + q[2]*q[2] + q[3]*q[3]); math.Abs(norm-1) > UnitTolerance {
		return &FieldError{"imu.orientation", "a norm of " + number(norm), "1 ± " + number(UnitTolerance)}
	}
	if err := finite("imu.angular_velocity_rad_per_sec", o.IMU.AngularVelocityRadPerSec[:], 3); err != nil {
		return err
	}
	if err := finite("imu.linear_acceleration_mps2", o.IMU.LinearAccelerationMps2[:], 3); err != nil {
		return err
	}
	if err := finite("base_velocity_mps", o.BaseVelocityMps[:], 3); err != nil {
		return err
	}
	if len(o.Contacts) != len(r.Feet) {
		return lengthError("contacts", len(o.Contacts), len(r.Feet))
	}
	return nil
}

// Validate returns a *FieldError for the first field that does not fit r: a slice of the wrong length, a value that is
// not finite, or a negative gain. Joint limits and ages are the server's gate, not validity. It does not allocate when
// there is nothing to report.
func (c *JointCommand) Validate(r *robot.Robot) error {
	n := len(r.Joints)
	if err := finite("target_rad", c.TargetRad, n); err != nil {
		return err
	}
	if err := gains("kp", c.Kp, n); err != nil {
		return err
	}
	return gains("kd", c.Kd, n)
}

// Validate returns a *FieldError for the first field that is not finite.
func (c NavigationCommand) Validate() error {
	if !isFinite(c.VxMps) {
		return &FieldError{"vx_mps", number(c.VxMps), "a finite number"}
	}
	if !isFinite(c.VyMps) {
		return &FieldError{"vy_mps", number(c.VyMps), "a finite number"}
	}
	if !isFinite(c.YawRateRadPerSec) {
		return &FieldError{"yaw_rate_rad_per_sec", number(c.YawRateRadPerSec), "a finite number"}
	}
	return nil
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

func gains(field string, values []float64, n int) error {
	if err := finite(field, values, n); err != nil {
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
