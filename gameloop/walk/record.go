package walk

import (
	"math"
	"time"

	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/server"
)

// Sample is the state of the robot at one reading.
type Sample struct {
	// Time is the simulated time.
	Time time.Duration
	// PositionM is the position of the base in the world, in m.
	PositionM [3]float64
	// HeightM is the height of the base above the ground below it, in m.
	HeightM float64
	// VelocityMps is the velocity of the base in a level frame with its heading, in m/s.
	VelocityMps [3]float64
	// YawRateRadPerSec is the angular velocity about the vertical.
	YawRateRadPerSec float64
	// TiltRad is the angle between the base's z axis and the vertical.
	TiltRad float64
	// PositionRad and TargetRad are the positions and the last written targets of the joints, in the robot's order.
	PositionRad, TargetRad []float64
	// Contacts is true for each foot in contact.
	Contacts []bool
}

// Record is the record of a walk.
type Record struct {
	Robot   string
	Joints  []string
	Feet    []string
	Command message.NavigationCommand
	// RealTime is true if the walk ran by the wall clock.
	RealTime bool
	// Samples has at least one entry: one per reading of the robot.
	Samples []Sample
	// WallS is the duration of the walk by the wall clock, in s.
	WallS  float64
	Server server.Stats
	Client client.Stats
	Policy runner.Stats
	// Final is the state of the physics at the end.
	Final mujoco.State

	targetRad []float64 // Last written.
}

func newRecord(c Config) *Record {
	r := c.Policy.Robot
	return &Record{
		Robot:     r.Name,
		Joints:    r.JointNames(),
		Feet:      r.Feet,
		Command:   c.Command,
		RealTime:  c.RealTime,
		targetRad: append([]float64(nil), r.DefaultPoseRad...),
	}
}

// add adds a sample.
func (r *Record) add(o *message.Observation, s mujoco.State) {
	w, x, y, z := o.IMU.Orientation[0], o.IMU.Orientation[1], o.IMU.Orientation[2], o.IMU.Orientation[3]
	sin, cos := math.Sincos(math.Atan2(2*(w*z+x*y), 1-2*(y*y+z*z))) // Of the heading.
	// The vertical seen from the base: the third row of the rotation matrix.
	up := [3]float64{2 * (x*z - w*y), 2 * (y*z + w*x), 1 - 2*(x*x+y*y)}
	rate := o.IMU.AngularVelocityRadPerSec
	r.Samples = append(r.Samples, Sample{
		Time:             s.Time,
		PositionM:        s.PositionM,
		HeightM:          s.HeightM,
		VelocityMps:      [3]float64{cos*s.VelocityMps[0] + sin*s.VelocityMps[1], cos*s.VelocityMps[1] - sin*s.VelocityMps[0], s.VelocityMps[2]},
		YawRateRadPerSec: up[0]*rate[0] + up[1]*rate[1] + up[2]*rate[2],
		TiltRad:          math.Acos(min(max(up[2], -1), 1)),
		PositionRad:      append([]float64(nil), o.PositionRad...),
		TargetRad:        append([]float64(nil), r.targetRad...),
		Contacts:         append([]bool(nil), o.Contacts...),
	})
}

// Summary summarises a record.
type Summary struct {
	// SimulatedS is the simulated time, RealTimeFactor its ratio to the time of the wall clock.
	SimulatedS     float64 `json:"simulated_s"`
	RealTimeFactor float64 `json:"real_time_factor"`
	// MeanVxMps, MeanVyMps and MeanYawRateRadPerSec are means over the whole walk, from standing.
	MeanVxMps            float64 `json:"mean_vx_mps"`
	MeanVyMps            float64 `json:"mean_vy_mps"`
	MeanYawRateRadPerSec float64 `json:"mean_yaw_rate_rad_per_s"`
	// MinHeightM, MaxHeightM and MaxTiltRad are extremes over all samples; heights are above the ground.
	MinHeightM float64 `json:"min_height_m"`
	MaxHeightM float64 `json:"max_height_m"`
	MaxTiltRad float64 `json:"max_tilt_rad"`
	// EndM is the position of the base at the end.
	EndM [3]float64 `json:"end_m"`
	// FootfallsPerS counts touchdowns per foot and second.
	FootfallsPerS float64 `json:"footfalls_per_s"`
}

// Summary returns a summary of the record.
func (r *Record) Summary() Summary {
	s := Summary{MinHeightM: math.Inf(1)}
	n := float64(len(r.Samples))
	falls := 0
	for i, sample := range r.Samples {
		s.MeanVxMps += sample.VelocityMps[0] / n
		s.MeanVyMps += sample.VelocityMps[1] / n
		s.MeanYawRateRadPerSec += sample.YawRateRadPerSec / n
		s.MinHeightM = min(s.MinHeightM, sample.HeightM)
		s.MaxHeightM = max(s.MaxHeightM, sample.HeightM)
		s.MaxTiltRad = max(s.MaxTiltRad, sample.TiltRad)
		for foot, touches := range sample.Contacts {
			if i > 0 && touches && !r.Samples[i-1].Contacts[foot] {
				falls++
			}
		}
	}
	last := r.Samples[len(r.Samples)-1]
	s.EndM, s.SimulatedS = last.PositionM, last.Time.Seconds()
	s.RealTimeFactor = s.SimulatedS / r.WallS
	s.FootfallsPerS = float64(falls) / float64(max(len(r.Feet), 1)) / s.SimulatedS
	return s
}
