package mujoco

// #include "shim.h"
import "C"

import (
	"fmt"
	"math"

	"krabby.dev/krabby/hal/message"
)

// Camera is a depth camera fixed to the base. Its images show the terrain without the robot.
type Camera struct {
	// Height and Width count rows and columns.
	Height, Width int
	// HorizontalFOVRad is the angle between the left and the right border of the image, in rad; pixels are square.
	HorizontalFOVRad float64
	// PositionM is the position of the camera in the base frame, in m.
	PositionM [3]float64
	// PitchRad is the downward angle of the optical axis from the base's x axis, in rad.
	PitchRad float64
	// RateHz is the image rate in Hz; there is at most one image per Read.
	RateHz float64
	// RangeM is the largest distance along a ray, in m; pixels beyond are +Inf.
	RangeM float64
}

// DefaultCamera returns a camera at the head with the size, rate and field of view of parkour policies.
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
		return fmt.Errorf("camera: found a field of view of %v rad, expected more than 0 and less than pi", c.HorizontalFOVRad)
	case !(c.RateHz > 0 && c.RateHz <= 1000):
		return fmt.Errorf("camera: found a rate of %v Hz, expected more than 0 and at most 1000", c.RateHz)
	case !(c.RangeM > 0 && c.RangeM <= 1000):
		return fmt.Errorf("camera: found a range of %v m, expected more than 0 and at most 1000", c.RangeM)
	}
	return nil
}

// camera is the state of a Camera.
type camera struct {
	Camera
	rays     []float64 // Directions in the base frame, of length 1; three values each.
	axis     []float64 // The component of each ray along the optical axis.
	world    []float64 // The rays in the world frame.
	distance []float64 // Along each ray, in m; -1 for no hit.
	nextS    float64   // Simulated time of the next image.
	image    message.ScalarImage
}

func newCamera(config Camera) *camera {
	n := config.Height * config.Width
	c := &camera{Camera: config, world: make([]float64, 3*n), distance: make([]float64, n)}
	sin, cos := math.Sincos(config.PitchRad)
	pixel := 2 * math.Tan(config.HorizontalFOVRad/2) / float64(config.Width) // The side of a pixel at a distance of 1.
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

// update takes an image if one is due, and copies the latest to o.
func (c *camera) update(b *Backend, o *message.Observation) {
	const tolerance = 1e-9 // s; times are sums of steps.
	if now := float64(b.data.time) + tolerance; now >= c.nextS {
		for c.nextS <= now {
			c.nextS += 1 / c.RateHz
		}
		c.render(b)
		c.image.Sequence++
		c.image.MonotonicNs = b.clock.NowNs()
	}
	o.Depth.CopyFrom(&c.image)
}

// render casts the rays.
func (c *camera) render(b *Backend) {
	position, rotation := b.basePose()
	point := position
	for i := range 3 {
		for k := range 3 {
			point[i] += rotation[3*i+k] * c.PositionM[k]
		}
	}
	for at := 0; at < len(c.rays); at += 3 {
		for i := range 3 {
			c.world[at+i] = rotation[3*i]*c.rays[at] + rotation[3*i+1]*c.rays[at+1] + rotation[3*i+2]*c.rays[at+2]
		}
	}
	C.krabby_rays(b.model, b.data, (*C.double)(&point[0]), (*C.double)(&c.world[0]), (*C.double)(&c.distance[0]),
		C.int(len(c.distance)))
	for i, d := range c.distance {
		c.image.Values[i] = float32(d * c.axis[i])
		if d < 0 || d > c.RangeM {
			c.image.Values[i] = float32(math.Inf(1))
		}
	}
}
