package mujoco

// #include "shim.h"
import "C"

import (
	"fmt"
	"math"

	"krabby.dev/krabby/hal/message"
)

// Camera is a depth camera that is fixed to the base. It sees the terrain, not the robot.
type Camera struct {
	// Height and Width count rows and columns.
	Height, Width int
	// HorizontalFOVRad is the angle between the left and the right border of the image, in rad; pixels are square.
	HorizontalFOVRad float64
	// PositionM is where it is, in the base frame, in m.
	PositionM [3]float64
	// PitchRad is how far it looks down from the base's x axis, in rad.
	PitchRad float64
	// RateHz is how often it takes an image, in Hz, at most once a Read.
	RateHz float64
	// RangeM is the farthest distance along a ray that it sees, in m; what is farther is infinite.
	RangeM float64
}

// DefaultCamera is a camera at the head, of the size, rate and view that parkour policies expect.
func DefaultCamera() Camera {
	return Camera{
		Height:           60,
		Width:            106,
		HorizontalFOVRad: 87 * math.Pi / 180,
		PositionM:        [3]float64{0.3, 0, 0.03},
		PitchRad:         0.5,
		RateHz:           10,
		RangeM:           10,
	}
}

func (c *Camera) validate() error {
	switch {
	case c.Height < 1 || c.Width < 1 || c.Height > message.MaxImageSide || c.Width > message.MaxImageSide ||
		c.Height*c.Width > message.MaxImagePixels:
		return fmt.Errorf("camera: found a size of %dx%d, expected 1 to %d a side, at most %d pixels",
			c.Height, c.Width, message.MaxImageSide, message.MaxImagePixels)
	case !(c.HorizontalFOVRad > 0 && c.HorizontalFOVRad < math.Pi):
		return fmt.Errorf("camera: found a view of %v rad, expected more than 0 and less than pi", c.HorizontalFOVRad)
	case !(c.RateHz > 0 && c.RateHz <= 1000):
		return fmt.Errorf("camera: found a rate of %v Hz, expected more than 0 and at most 1000", c.RateHz)
	case !(c.RangeM > 0 && c.RangeM <= 1000):
		return fmt.Errorf("camera: found a range of %v m, expected more than 0 and at most 1000", c.RangeM)
	}
	return nil
}

// camera is a Camera at work.
type camera struct {
	Camera
	rays     []float64 // Directions in the base frame, of length 1; three values each.
	axis     []float64 // Of each, the part along the camera's axis.
	world    []float64 // The rays in the world frame.
	distance []float64 // Along each ray, in m; -1 for nothing.
	nextS    float64   // Simulated time of the next image.
	image    message.ScalarImage
}

func newCamera(config Camera) *camera {
	n := config.Height * config.Width
	c := &camera{Camera: config, world: make([]float64, 3*n), distance: make([]float64, n)}
	sin, cos := math.Sincos(config.PitchRad)
	pixel := 2 * math.Tan(config.HorizontalFOVRad/2) / float64(config.Width) // Its side at a distance of 1.
	for row := range config.Height {
		for column := range config.Width {
			left := (float64(config.Width)/2 - float64(column) - 0.5) * pixel
			up := (float64(config.Height)/2 - float64(row) - 0.5) * pixel
			axis := 1 / math.Sqrt(1+left*left+up*up)
			c.axis = append(c.axis, axis)
			c.rays = append(c.rays, axis*(cos+up*sin), axis*left, axis*(up*cos-sin))
		}
	}
	c.image.Resize(config.Height, config.Width)
	c.image.RateHz = config.RateHz
	return c
}

// take takes an image if one is due, and puts the latest into o.
func (c *camera) take(b *Backend, o *message.Observation) {
	const tolerance = 1e-9 // s; times are sums of steps.
	if now := float64(b.data.time) + tolerance; now >= c.nextS {
		for c.nextS <= now {
			c.nextS += 1 / c.RateHz
		}
		c.shoot(b)
		c.image.Sequence++
		c.image.MonotonicNs = b.clock.NowNs()
	}
	o.Depth.CopyFrom(&c.image)
}

// shoot casts the rays.
func (c *camera) shoot(b *Backend) {
	position, turn := b.base()
	point := position
	for i := range 3 {
		for k := range 3 {
			point[i] += turn[3*i+k] * c.PositionM[k]
		}
	}
	for at := 0; at < len(c.rays); at += 3 {
		for i := range 3 {
			c.world[at+i] = turn[3*i]*c.rays[at] + turn[3*i+1]*c.rays[at+1] + turn[3*i+2]*c.rays[at+2]
		}
	}
	C.krabby_rays(b.model, b.data, (*C.double)(&point[0]), (*C.double)(&c.world[0]), (*C.double)(&c.distance[0]),
		C.int(len(c.distance)), C.double(c.RangeM))
	for i, d := range c.distance {
		c.image.Values[i] = float32(d * c.axis[i])
		if d < 0 || d > c.RangeM {
			c.image.Values[i] = float32(math.Inf(1))
		}
	}
}
