package parkour

import (
	"errors"
	"fmt"
	"math"

	"krabby.dev/krabby/hal/message"
)

// The scan's grid: columns ahead, rows to the left, around a point ahead of the base.
const (
	scanColumns, scanRows = 12, 11
	scanCellM             = 0.15
	scanAheadM            = 0.375
	scanBackM             = 0.825 // From that point to the first column,
	scanRightM            = 0.75  // and to the first row.
	scanOffsetM           = 0.3
	scanLimitM            = 1
)

// Scanner measures the ground around the robot, for a teacher.
type Scanner interface {
	// Scan writes ScanSize values into dst: base height - ground height - 0.3 m, clipped to ±1 m, at 12 points from 0.45 m
	// behind the base's centre to 1.2 m ahead, in 11 rows from 0.75 m to its right to 0.75 m to its left, 0.15 m apart. The
	// points ahead vary fastest. The grid turns with the base's yaw alone.
	Scan(dst []float32, o *message.Observation) error
}

// scanPoint returns a point of the grid in the frame of the base that is level and turned by its yaw, in m.
func scanPoint(i int) (aheadM, leftM float64) {
	return float64(i%scanColumns)*scanCellM - scanBackM + scanAheadM, float64(i/scanColumns)*scanCellM - scanRightM
}

func scanValue(depthM float64) float32 {
	return float32(min(max(depthM-scanOffsetM, -scanLimitM), scanLimitM))
}

// NominalHeightM is the height of the base above flat ground that a scan of zeros says.
const NominalHeightM = scanOffsetM

// Flat is a Scanner for flat ground under a base of that height, in m.
type Flat float64

// Scan implements Scanner.
func (heightM Flat) Scan(dst []float32, _ *message.Observation) error {
	for i := range dst {
		dst[i] = scanValue(float64(heightM))
	}
	return nil
}

// HeightMap is the ground on a grid in the world's frame.
type HeightMap struct {
	// XM and YM are where the first corner is, CellM how far corners are apart, in m.
	XM, YM, CellM float64
	// Rows and Columns count corners along y and x, at least 2 each.
	Rows, Columns int
	// HeightsM are the heights of the corners, row by row, in m.
	HeightsM []float64
}

// Validate says what is wrong with a map.
func (m *HeightMap) Validate() error {
	switch {
	case m.Rows < 2 || m.Columns < 2 || len(m.HeightsM) != m.Rows*m.Columns:
		return fmt.Errorf("height map of %dx%d corners with %d heights: expected 2x2 or more, and a height for each", m.Rows, m.Columns, len(m.HeightsM))
	case !(m.CellM > 0) || math.IsInf(m.CellM, 0):
		return fmt.Errorf("height map with cells of %v m: expected a positive size", m.CellM)
	}
	return nil
}

// At returns the height of the ground at a point, in m: bilinear between corners, and beyond the border as at the border.
func (m *HeightMap) At(xM, yM float64) float64 {
	column, u := corner((xM-m.XM)/m.CellM, m.Columns)
	row, v := corner((yM-m.YM)/m.CellM, m.Rows)
	near := m.HeightsM[row*m.Columns+column:]
	far := near[m.Columns:]
	return (1-v)*((1-u)*near[0]+u*near[1]) + v*((1-u)*far[0]+u*far[1])
}

// corner splits a place between corners into the one before, of which one has to follow, and how far it is from it.
func corner(at float64, corners int) (int, float64) {
	at = min(max(at, 0), float64(corners-1))
	i := min(int(at), corners-2)
	return i, at - float64(i)
}

// Pose is where the base is in the world's frame, in m and rad.
type Pose struct{ XM, YM, ZM, YawRad float64 }

// MapScanner scans a map of the ground, as simulators have it.
type MapScanner struct {
	Map *HeightMap
	// Pose says where the base was when an observation was made.
	Pose func(*message.Observation) (Pose, error)
}

// Scan implements Scanner.
func (s *MapScanner) Scan(dst []float32, o *message.Observation) error {
	if err := s.Map.Validate(); err != nil {
		return err
	}
	pose, err := s.Pose(o)
	if err != nil {
		return err
	}
	sin, cos := math.Sincos(pose.YawRad)
	for i := range dst {
		ahead, left := scanPoint(i)
		dst[i] = scanValue(pose.ZM - s.Map.At(pose.XM+cos*ahead-sin*left, pose.YM+sin*ahead+cos*left))
	}
	return nil
}

// Camera is a depth camera on the base, upright but for its pitch.
type Camera struct {
	// PositionM is where it is, in the base's frame, in m.
	PositionM [3]float64
	// PitchRad is how far it looks down from straight ahead.
	PitchRad float64
	// HorizontalFOVRad is the angle between the left and right edge of its image.
	HorizontalFOVRad float64
}

// DepthScanner scans the ground that a depth camera sees: each point of the grid gets the highest that was seen in its
// cell. Of the ground beneath and behind, which no camera ahead sees, it only guesses: it goes on as at the nearest cell
// of the row that was seen, or of the nearest row. It remembers nothing.
type DepthScanner struct {
	Camera Camera

	heightM [ScanSize]float64 // Above the base.
}

// sampledRows is about how many rows of an image it looks at: cells are far larger than pixels.
const sampledRows = 120

// Scan implements Scanner.
func (s *DepthScanner) Scan(dst []float32, o *message.Observation) error {
	image := &o.Depth
	if !image.Present() {
		return errors.New("found no depth image, expected a robot or simulator with a depth camera")
	}
	if fov := s.Camera.HorizontalFOVRad; !(fov > 0 && fov < math.Pi) {
		return fmt.Errorf("camera with a field of view of %v rad: expected more than 0 and less than pi", fov)
	}
	for i := range s.heightM {
		s.heightM[i] = math.Inf(-1)
	}
	roll, pitch, _ := RollPitchYaw(o.IMU.Orientation)
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
			// In the base's frame, then level.
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
	for i := range dst {
		nearest := s.nearest(i)
		if nearest < 0 {
			return errors.New("found no ground in the depth image, expected some within 1.2 m ahead")
		}
		dst[i] = scanValue(-s.heightM[nearest])
	}
	return nil
}

// nearest returns the nearest cell that was seen, -1 where none was. Another row counts for more than any column.
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
