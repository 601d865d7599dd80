package parkour

import (
	"fmt"
	"math"

	"krabby.dev/krabby/hal/message"
)

// The grid of a scan: columns ahead and rows to the left, around a point ahead of the base.
const (
	scanColumns, scanRows = 12, 11
	scanCellM             = 0.15
	scanAheadM            = 0.375 // From the base to that point.
	scanBackM             = 0.825 // From that point back to the first column.
	scanRightM            = 0.75  // From that point right to the first row.
	scanOffsetM           = 0.3
	scanLimitM            = 1
)

// NominalHeightM is the height of the base above flat ground at which all values of a scan are 0, in m.
const NominalHeightM = scanOffsetM

// Scanner measures the ground around the robot, for a teacher.
type Scanner interface {
	// Scan writes ScanSize values to dst: base height - ground height - 0.3 m, clipped to ±1 m, at the points of a grid. The
	// grid has 12 columns, from 0.45 m behind the base's centre to 1.2 m ahead of it, and 11 rows, from 0.75 m to its right to
	// 0.75 m to its left, 0.15 m apart. Columns vary fastest. The grid is level and turns with the base's yaw.
	Scan(dst []float32, o *message.Observation) error
}

// scanPoint returns point i of the grid, in m, in a frame at the base that is level and turned by the base's yaw.
func scanPoint(i int) (aheadM, leftM float64) {
	return float64(i%scanColumns)*scanCellM - scanBackM + scanAheadM, float64(i/scanColumns)*scanCellM - scanRightM
}

// scanValue returns the value of a point that lies depthM below the base.
func scanValue(depthM float64) float32 {
	return float32(min(max(depthM-scanOffsetM, -scanLimitM), scanLimitM))
}

// FlatScanner is a Scanner of flat ground: its value is the height of the base above the ground, in m.
type FlatScanner float64

// Scan implements Scanner. It never fails.
func (heightM FlatScanner) Scan(dst []float32, _ *message.Observation) error {
	for i := range dst {
		dst[i] = scanValue(float64(heightM))
	}
	return nil
}

// HeightMap is the height of the ground at the corners of a grid, in the world frame.
type HeightMap struct {
	// XM and YM are the position of the first corner, in m.
	XM, YM float64
	// CellM is the distance between corners, in m.
	CellM float64
	// Rows is the number of corners along y, at least 2.
	Rows int
	// Columns is the number of corners along x, at least 2.
	Columns int
	// HeightsM has the heights of the corners, row by row, in m.
	HeightsM []float64
}

// Validate checks the sizes of the map.
func (m *HeightMap) Validate() error {
	switch {
	case m.Rows < 2 || m.Columns < 2:
		return fmt.Errorf("height map: found %dx%d corners, expected 2x2 or more", m.Rows, m.Columns)
	case len(m.HeightsM) != m.Rows*m.Columns:
		return fmt.Errorf("height map: found %d heights, expected %d", len(m.HeightsM), m.Rows*m.Columns)
	case !(m.CellM > 0) || math.IsInf(m.CellM, 0):
		return fmt.Errorf("height map: found cells of %v m, expected a positive number", m.CellM)
	}
	return nil
}

// At returns the height of the ground at a position, in m. It interpolates bilinearly between corners; outside the map it
// returns the height of the nearest position on the border.
func (m *HeightMap) At(xM, yM float64) float64 {
	column, u := corner((xM-m.XM)/m.CellM, m.Columns)
	row, v := corner((yM-m.YM)/m.CellM, m.Rows)
	near := m.HeightsM[row*m.Columns+column:]
	far := near[m.Columns:]
	return (1-v)*((1-u)*near[0]+u*near[1]) + v*((1-u)*far[0]+u*far[1])
}

// corner splits a coordinate in cells into the corner before it, which has a next one, and the distance from that corner.
func corner(coordinate float64, corners int) (int, float64) {
	coordinate = min(max(coordinate, 0), float64(corners-1))
	i := min(int(coordinate), corners-2)
	return i, coordinate - float64(i)
}

// Pose is the position in m and the yaw in rad of the base in the world frame.
type Pose struct{ XM, YM, ZM, YawRad float64 }

// MapScanner is a Scanner of a height map, for simulators.
type MapScanner struct {
	Map *HeightMap
	// Pose returns the pose of the base at the time of an observation.
	Pose func(*message.Observation) (Pose, error)
}

// Scan implements Scanner. It fails if the map is invalid or Pose fails.
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
