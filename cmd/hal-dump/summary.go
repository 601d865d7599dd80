package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// summary is the printed form of one observation. It omits fields that version 1 does not have.
type summary struct {
	Session  uint64 `json:"session_id,string,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
	// Made is the time of the sensor reading by the robot's wall clock.
	Made     time.Time `json:"made"`
	AgeUs    float64   `json:"age_us"`
	AgeClock string    `json:"age_clock"`
	// AgeBoundUs bounds the error of the age for a clock that is synchronised with the robot's.
	AgeBoundUs float64       `json:"age_bound_us,omitempty"`
	Joints     []joint       `json:"joints"`
	IMU        *imu          `json:"imu,omitempty"`
	BaseMps    *[3]float64   `json:"base_velocity_mps,omitempty"`
	Contacts   []contact     `json:"contacts,omitempty"`
	Images     []image       `json:"images,omitempty"`
	age        time.Duration // AgeUs.
}

type joint struct {
	Name              string   `json:"name"`
	PositionRad       float64  `json:"position_rad"`
	VelocityRadPerSec *float64 `json:"velocity_rad_per_s,omitempty"`
	EffortNm          *float64 `json:"effort_nm,omitempty"`
}

type imu struct {
	Orientation     [4]float64 `json:"orientation_wxyz"`
	AngularVelocity [3]float64 `json:"angular_velocity_rad_per_s"`
	Acceleration    [3]float64 `json:"linear_acceleration_mps2"`
}

type contact struct {
	Foot    string `json:"foot"`
	Touches bool   `json:"touches"`
}

// image summarises an image.
type image struct {
	Name   string `json:"name"`
	Height int    `json:"height"`
	Width  int    `json:"width"`
	Unit   string `json:"unit,omitempty"`
	// Min, Mean and Max are those of the finite values, nil without one.
	Min  *float64 `json:"min,omitempty"`
	Mean *float64 `json:"mean,omitempty"`
	Max  *float64 `json:"max,omitempty"`
	// NotFinite counts the other values.
	NotFinite int `json:"not_finite,omitempty"`
	// Frame and RateHz are the camera's; version 1 has neither, and no age.
	Frame  uint64   `json:"frame,omitempty"`
	RateHz float64  `json:"rate_hz,omitempty"`
	AgeUs  *float64 `json:"age_us,omitempty"`
}

// The clocks by which an age can be measured.
const (
	monotonic    = "monotonic"
	synchronised = "synchronised"
	wall         = "wall"
)

// moment is a time by each clock.
type moment struct {
	monotonicNs  int64 // The robot's monotonic time; an estimate if synchronised.
	bound        time.Duration
	synchronised bool // The control link synchronised the clock; its error is at most bound.
	wallNs       int64
}

// ageOf returns the age of o at a moment and the clock that measured it: the robot's monotonic clock if it is synchronised or shared,
// as on one machine, else the wall clocks, whose offset is part of the age.
func ageOf(o *message.Observation, at moment) (age time.Duration, clock string) {
	const sameClock = time.Second // The largest difference between ages by the two clocks of one machine.
	byWall := time.Duration(at.wallNs - o.WallNs)
	byMonotonic := time.Duration(at.monotonicNs - o.MonotonicNs)
	if at.synchronised {
		return byMonotonic, synchronised
	}
	if o.Sequence == 0 || (byMonotonic-byWall).Abs() > sameClock {
		return byWall, wall
	}
	return byMonotonic, monotonic
}

// summarise returns the summary of an observation that was read at a moment.
func summarise(r *robot.Robot, o *message.Observation, at moment) *summary {
	s := &summary{Session: o.SessionID, Sequence: o.Sequence, Made: time.Unix(0, o.WallNs).UTC()}
	s.age, s.AgeClock = ageOf(o, at)
	s.AgeBoundUs = micros(at.bound)
	s.AgeUs = micros(s.age)
	for i, j := range r.Joints {
		at := joint{Name: j.Name, PositionRad: o.PositionRad[i]}
		if o.Sequence != 0 {
			at.VelocityRadPerSec, at.EffortNm = new(o.VelocityRadPerSec[i]), new(o.EffortNm[i])
		}
		s.Joints = append(s.Joints, at)
	}
	if o.Sequence != 0 {
		s.IMU = &imu{o.IMU.Orientation, o.IMU.AngularVelocityRadPerSec, o.IMU.LinearAccelerationMps2}
		for i, foot := range r.Feet {
			s.Contacts = append(s.Contacts, contact{foot, o.Contacts[i]})
		}
	}
	if o.BaseVelocityKnown {
		s.BaseMps = new(o.BaseVelocityMps)
	}
	madeNs := o.MonotonicNs
	add := func(name, unit string, stamp message.ImageStamp, height, width, values int, at func(int) float64) {
		if height == 0 {
			return
		}
		i := image{Name: name, Height: height, Width: width, Unit: unit, Frame: stamp.Sequence, RateHz: stamp.RateHz}
		if stamp.Sequence != 0 {
			// Both stamps are by the robot's clock, so their difference is valid on any machine.
			i.AgeUs = new(micros(s.age + time.Duration(madeNs-stamp.MonotonicNs)))
		}
		i.measure(values, at)
		s.Images = append(s.Images, i)
	}
	add("rgb_1", "", o.RGB1.ImageStamp, o.RGB1.Height, o.RGB1.Width, len(o.RGB1.Pixels), func(i int) float64 { return float64(o.RGB1.Pixels[i]) })
	add("rgb_2", "", o.RGB2.ImageStamp, o.RGB2.Height, o.RGB2.Width, len(o.RGB2.Pixels), func(i int) float64 { return float64(o.RGB2.Pixels[i]) })
	add("depth", "m", o.Depth.ImageStamp, o.Depth.Height, o.Depth.Width, len(o.Depth.Values), func(i int) float64 { return float64(o.Depth.Values[i]) })
	add("confidence", "", o.Confidence.ImageStamp, o.Confidence.Height, o.Confidence.Width, len(o.Confidence.Values), func(i int) float64 { return float64(o.Confidence.Values[i]) })
	return s
}

// measure computes the extremes and the mean of the finite values.
func (i *image) measure(values int, at func(int) float64) {
	least, most, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0
	for k := range values {
		v := at(k)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			i.NotFinite++
			continue
		}
		least, most, sum, n = min(least, v), max(most, v), sum+v, n+1
	}
	if n > 0 {
		i.Min, i.Mean, i.Max = &least, new(sum/float64(n)), &most
	}
}

// text writes the summary over several lines.
func (s *summary) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if s.Sequence != 0 {
		fmt.Fprintf(t, "observation\t%d of session %d\n", s.Sequence, s.Session)
	} else {
		fmt.Fprintf(t, "observation\tversion 1\n")
	}
	fmt.Fprintf(t, "made\t%s\n", s.Made.Format("2006-01-02T15:04:05.000000Z"))
	bound := ""
	if s.AgeBoundUs != 0 {
		bound = fmt.Sprintf(", +-%.3f ms", s.AgeBoundUs/1000)
	}
	fmt.Fprintf(t, "age\t%s by the %s clock%s\n", millis(s.age), s.AgeClock, bound)
	if i := s.IMU; i != nil {
		fmt.Fprintf(t, "orientation\t%.4f %.4f %.4f %.4f (w x y z)\n", i.Orientation[0], i.Orientation[1], i.Orientation[2], i.Orientation[3])
		fmt.Fprintf(t, "angular velocity\t%.4f %.4f %.4f rad/s\n", i.AngularVelocity[0], i.AngularVelocity[1], i.AngularVelocity[2])
		fmt.Fprintf(t, "acceleration\t%.4f %.4f %.4f m/s²\n", i.Acceleration[0], i.Acceleration[1], i.Acceleration[2])
	}
	if v := s.BaseMps; v != nil {
		fmt.Fprintf(t, "base velocity\t%.4f %.4f %.4f m/s\n", v[0], v[1], v[2])
	}
	for _, c := range s.Contacts {
		fmt.Fprintf(t, "foot %s\t%s\n", c.Foot, map[bool]string{true: "on the ground", false: "in the air"}[c.Touches])
	}
	for _, i := range s.Images {
		fmt.Fprintf(t, "%s\t%s\n", i.Name, i.text())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t.Init(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "joint\trad\trad/s\tN·m\t\n")
	for _, j := range s.Joints {
		fmt.Fprintf(t, "%s\t%.4f\t%s\t%s\t\n", j.Name, j.PositionRad, optional(j.VelocityRadPerSec), optional(j.EffortNm))
	}
	return t.Flush()
}

func (i *image) text() string {
	text := fmt.Sprintf("%d rows x %d columns", i.Height, i.Width)
	unit := i.Unit
	if unit != "" {
		unit = " " + unit
	}
	if i.Min != nil {
		text += fmt.Sprintf(", %.4g to %.4g%s, mean %.4g%s", *i.Min, *i.Max, unit, *i.Mean, unit)
	}
	if i.NotFinite > 0 {
		text += fmt.Sprintf(", %d not finite", i.NotFinite)
	}
	if i.AgeUs != nil {
		text += fmt.Sprintf(", frame %d, age %.3f ms", i.Frame, *i.AgeUs/1000)
	}
	if i.RateHz != 0 {
		text += fmt.Sprintf(", %g Hz", i.RateHz)
	}
	return text
}

// line writes the summary on one line.
func (s *summary) line(w io.Writer) error {
	name := "v1"
	if s.Sequence != 0 {
		name = fmt.Sprint(s.Sequence)
	}
	text := fmt.Sprintf("%s  age %s  rad", name, millis(s.age))
	for _, j := range s.Joints {
		text += fmt.Sprintf(" %.3f", j.PositionRad)
	}
	for _, i := range s.Images {
		text += fmt.Sprintf("  %s %dx%d", i.Name, i.Height, i.Width)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func optional(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", *v)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}
