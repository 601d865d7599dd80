package parkour_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/parkour"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// pointIndex returns the index of a point of the scan.
func pointIndex(column, row int) int { return row*12 + column }

func TestMapScanner(t *testing.T) {
	// The ground rises by 0.1 m per m along x and by 0.01 m per m along y.
	ramp := &parkour.HeightMap{XM: -10, YM: -10, CellM: 10, Rows: 3, Columns: 3}
	for i := range 9 {
		ramp.HeightsM = append(ramp.HeightsM, 0.1*(float64(i%3)*10-10)+0.01*(float64(i/3)*10-10))
	}
	for _, tt := range []struct {
		name string
		pose parkour.Pose
		// Heights of the ground at points of the grid, calculated from their positions.
		first, ahead, left float64
	}{
		{"origin", parkour.Pose{ZM: 0.4}, -0.045 - 0.0075, 0.12 - 0.0075, -0.045 + 0.0075},
		{"2 m along x", parkour.Pose{XM: 2, ZM: 0.4}, 0.155 - 0.0075, 0.32 - 0.0075, 0.155 + 0.0075},
		{"yaw of 90°", parkour.Pose{ZM: 0.4, YawRad: math.Pi / 2}, 0.075 - 0.0045, 0.075 + 0.012, -0.075 - 0.0045},
	} {
		s := &parkour.MapScanner{Map: ramp, Pose: func(*message.Observation) (parkour.Pose, error) { return tt.pose, nil }}
		got := make([]float32, parkour.ScanSize)
		if err := s.Scan(got, nil); err != nil {
			t.Fatal(err)
		}
		for name, point := range map[string]struct {
			i      int
			ground float64
		}{"first point": {pointIndex(0, 0), tt.first}, "last column": {pointIndex(11, 0), tt.ahead}, "last row": {pointIndex(0, 10), tt.left}} {
			if want := tt.pose.ZM - point.ground - 0.3; math.Abs(float64(got[point.i])-want) > 1e-6 {
				t.Errorf("%s: %s = %v, want %v", tt.name, name, got[point.i], want)
			}
		}
	}
}

func TestFlatScanner(t *testing.T) {
	got := make([]float32, parkour.ScanSize)
	for height, want := range map[parkour.FlatScanner]float32{0.3: 0, 0.35: 0.05, 2: 1, -2: -1} {
		if err := height.Scan(got, nil); err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(got[7]-want)) > 1e-6 {
			t.Errorf("%v m above flat ground: scan = %v, want %v", float64(height), got[7], want)
		}
	}
}

func TestHeightMapAt(t *testing.T) {
	m := &parkour.HeightMap{XM: 1, YM: 2, CellM: 0.5, Rows: 2, Columns: 3, HeightsM: []float64{1, 2, 3, 5, 6, 7}}
	for point, want := range map[[2]float64]float64{
		{1, 2}: 1, {2, 2.5}: 7, {1.25, 2}: 1.5, {1.25, 2.25}: 3.5, {-9, 2}: 1, {9, 2}: 3, {9, 9}: 7, {1.5, -9}: 2, {1.5, 2.25}: 4,
	} {
		if got := m.At(point[0], point[1]); math.Abs(got-want) > 1e-12 {
			t.Errorf("height at %v = %v, want %v", point, got, want)
		}
	}
}

func TestMapScanner_error(t *testing.T) {
	pose := func(*message.Observation) (parkour.Pose, error) { return parkour.Pose{}, nil }
	lost := func(*message.Observation) (parkour.Pose, error) { return parkour.Pose{}, errors.New("lost") }
	valid := parkour.HeightMap{CellM: 1, Rows: 2, Columns: 2, HeightsM: make([]float64, 4)}
	short, flat := valid, valid
	short.HeightsM, flat.CellM = make([]float64, 3), 0
	for want, s := range map[string]*parkour.MapScanner{
		"lost": {Map: &valid, Pose: lost},
		"height map: found 3 heights, expected 4": {Map: &short, Pose: pose},
		"height map: found cells of 0 m":          {Map: &flat, Pose: pose},
	} {
		if err := s.Scan(make([]float32, parkour.ScanSize), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
}

// render sets the depth image of o to that of a camera above the ground, by ray marching.
func render(o *message.Observation, c parkour.Camera, heightM float64, ground func(x, y float64) float64) {
	roll, pitch, _ := observation.RollPitchYaw(o.IMU.Orientation)
	level := func(v [3]float64) [3]float64 {
		v[1], v[2] = math.Cos(roll)*v[1]-math.Sin(roll)*v[2], math.Sin(roll)*v[1]+math.Cos(roll)*v[2]
		v[0], v[2] = math.Cos(pitch)*v[0]+math.Sin(pitch)*v[2], math.Cos(pitch)*v[2]-math.Sin(pitch)*v[0]
		return v
	}
	from := level(c.PositionM)
	o.Depth.Resize(60, 106)
	focal := 53 / math.Tan(c.HorizontalFOVRad/2)
	for row := range 60 {
		for column := range 106 {
			u, v := (52.5-float64(column))/focal, (29.5-float64(row))/focal
			ray := level([3]float64{math.Cos(c.PitchRad) + v*math.Sin(c.PitchRad), u, v*math.Cos(c.PitchRad) - math.Sin(c.PitchRad)})
			depth := math.NaN()
			for d := 0.0; d < 3; d += 0.002 {
				if z := from[2] + d*ray[2]; z+heightM <= ground(from[0]+d*ray[0], from[1]+d*ray[1]) {
					depth = d
					break
				}
			}
			o.Depth.Values[row*106+column] = float32(depth)
		}
	}
}

func TestDepthScanner(t *testing.T) {
	camera := parkour.Camera{PositionM: [3]float64{0.3, 0, 0.05}, PitchRad: 0.6, HorizontalFOVRad: 87 * math.Pi / 180}
	step := func(x, y float64) float64 { // A step of 0.2 m, 0.75 m ahead.
		if x > 0.75 {
			return 0.2
		}
		return 0
	}
	for name, q := range map[string][4]float64{
		"level":   {1, 0, 0, 0},
		"rolled":  {math.Cos(0.05), math.Sin(0.05), 0, 0},
		"nose up": {math.Cos(0.05), 0, -math.Sin(0.05), 0},
	} {
		o := message.NewObservation(robot.Go2())
		o.IMU.Orientation = q
		render(o, camera, 0.35, step)
		got := make([]float32, parkour.ScanSize)
		s := &parkour.DepthScanner{Camera: camera}
		if err := s.Scan(got, o); err != nil {
			t.Fatal(err)
		}
		for row := 3; row <= 7; row++ {
			for column := range 12 {
				x := float64(column)*0.15 - 0.45
				want := 0.05
				switch {
				case x > 0.8:
					want = -0.15
				case x > 0.65:
					continue // The cell contains the edge.
				}
				if math.Abs(float64(got[pointIndex(column, row)])-want) > 0.02 {
					t.Errorf("%s: %.2f m ahead, row %d: scan = %v, want %v", name, x, row, got[pointIndex(column, row)], want)
				}
			}
		}
	}
}

func TestDepthScanner_error(t *testing.T) {
	o := message.NewObservation(robot.Go2())
	s := &parkour.DepthScanner{Camera: parkour.Camera{HorizontalFOVRad: 1.5}}
	got := make([]float32, parkour.ScanSize)
	if err := s.Scan(got, o); err == nil || !strings.Contains(err.Error(), "depth image not found") {
		t.Errorf("no image: error = %v", err)
	}
	o.Depth.Resize(60, 106)
	for i := range o.Depth.Values {
		o.Depth.Values[i] = []float32{float32(math.NaN()), float32(math.Inf(1)), 0, 9}[i%4]
	}
	if err := s.Scan(got, o); err == nil || !strings.Contains(err.Error(), "ground not found in the depth image") {
		t.Errorf("unmeasured and distant pixels: error = %v", err)
	}
	s.Camera.HorizontalFOVRad = 0
	if err := s.Scan(got, o); err == nil || !strings.Contains(err.Error(), "found a field of view of 0 rad") {
		t.Errorf("no field of view: error = %v", err)
	}
}
