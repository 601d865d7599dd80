package parkour

import (
	"errors"
	"fmt"
	"math"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/hal/message"
)

// Camera is the mounting of a depth camera on the base, without roll and yaw.
type Camera struct {
	// PositionM is the position in the base frame, in m.
	PositionM [3]float64
	// PitchRad is the angle from straight ahead down to the optical axis.
	PitchRad float64
	// HorizontalFOVRad is the angle between the left and the right edge of the image.
	HorizontalFOVRad float64
}

// DepthScanner is a Scanner of the ground in a depth image: each point of the grid gets the greatest height in its cell.
// Cells that the camera does not see, as those below and behind the robot, get the height of the nearest visible cell, in
// the same row if there is one. DepthScanner has no memory of earlier images.
type DepthScanner struct {
	Camera Camera

	heightM [ScanSize]float64 // Above the base; -Inf for a cell that is not visible.
}

// sampledRows is the approximate number of rows of an image that Scan reads. Cells are much larger than pixels.
const sampledRows = 120

// Scan implements Scanner. It fails without a depth image, without ground in it, and if the camera's field of view is not
// between 0 and pi.
func (s *DepthScanner) Scan(dst []float32, o *message.Observation) error {
	if !o.Depth.Present() {
		return errNoDepthImage
	}
	if fov := s.Camera.HorizontalFOVRad; !(fov > 0 && fov < math.Pi) {
		return fmt.Errorf("camera: found a field of view of %v rad, expected more than 0 and less than pi", fov)
	}
	s.measure(o)
	for i := range dst {
		nearest := s.nearest(i)
		if nearest < 0 {
			return errors.New("ground not found in the depth image within 1.2 m ahead")
		}
		dst[i] = scanValue(-s.heightM[nearest])
	}
	return nil
}

// measure sets the height of each visible cell.
func (s *DepthScanner) measure(o *message.Observation) {
	for i := range s.heightM {
		s.heightM[i] = math.Inf(-1)
	}
	image := &o.Depth
	roll, pitch, _ := observation.RollPitchYaw(o.IMU.Orientation)
	sinCamera, cosCamera := math.Sincos(s.Camera.PitchRad)
	sinRoll, cosRoll := math.Sincos(roll)
	sinPitch, cosPitch := math.Sincos(pitch)
	focal := float64(image.Width) / 2 / math.Tan(s.Camera.HorizontalFOVRad/2) // In pixels.
	stride := max(image.Height/sampledRows, 1)
	for row := 0; row < image.Height; row += stride {
		up := (float64(image.Height)/2 - float64(row) - 0.5) / focal
		for column := 0; column < image.Width; column += stride {
			depth := float64(image.Values[row*image.Width+column])
			if !(depth > 0) || math.IsInf(depth, 0) {
				continue
			}
			left := (float64(image.Width)/2 - float64(column) - 0.5) / focal
			// The point in the base frame, then in the level frame.
			x := depth*(cosCamera+up*sinCamera) + s.Camera.PositionM[0]
			y := depth*left + s.Camera.PositionM[1]
			z := depth*(up*cosCamera-sinCamera) + s.Camera.PositionM[2]
			y, z = cosRoll*y-sinRoll*z, sinRoll*y+cosRoll*z
			x, z = cosPitch*x+sinPitch*z, cosPitch*z-sinPitch*x
			c := math.Round((x - scanAheadM + scanBackM) / scanCellM)
			r := math.Round((y + scanRightM) / scanCellM)
			if c >= 0 && c < scanColumns && r >= 0 && r < scanRows {
				i := int(r)*scanColumns + int(c)
				s.heightM[i] = max(s.heightM[i], z)
			}
		}
	}
}

// nearest returns the index of the visible cell that is nearest to cell i, or -1 if no cell is visible. A difference of one
// row counts as much as all columns.
func (s *DepthScanner) nearest(i int) int {
	best, least := -1, math.MaxInt
	for j, height := range s.heightM {
		if math.IsInf(height, -1) {
			continue
		}
		columns, rows := j%scanColumns-i%scanColumns, j/scanColumns-i/scanColumns
		if distance := scanColumns*max(rows, -rows) + max(columns, -columns); distance < least {
			best, least = j, distance
		}
	}
	return best
}
