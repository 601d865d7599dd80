package mujoco

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Terrain is the ground: a floor at height 0 and boxes on it. The robot starts at the origin and faces x; the boxes begin at
// startM.
type Terrain struct {
	// Name is the text that ParseTerrain reads.
	Name  string
	boxes []box
}

// box is a box of the terrain.
type box struct {
	centerM, halfM [3]float64
	pitchRad       float64 // About the y axis; positive is downhill in x.
}

const (
	startM    = 1.0   // Start of the rise.
	plainM    = 100.0 // Length of the level plain at the top.
	halfM     = 50.0  // Half of the width.
	plateM    = 0.1   // Half of the thickness of a slope.
	climbM    = 3.0   // Length of a slope.
	treadM    = 0.3   // Depth of a step.
	stepCount = 5
)

// Flat returns the floor alone.
func Flat() Terrain { return Terrain{Name: "flat"} }

// Steps returns a flight of five steps, 0.3 m deep and riseM high, with a level plain at the top.
func Steps(riseM float64) Terrain {
	t := Terrain{Name: "steps:" + strconv.FormatFloat(riseM, 'g', -1, 64)}
	for i := range stepCount {
		// Each step lies on the one before and reaches to the end of the plain.
		from, to := startM+float64(i)*treadM, startM+stepCount*treadM+plainM
		top := float64(i+1) * riseM
		t.boxes = append(t.boxes, box{
			centerM: [3]float64{(from + to) / 2, 0, top - riseM/2},
			halfM:   [3]float64{(to - from) / 2, halfM, riseM / 2},
		})
	}
	return t
}

// Slope returns a slope of 3 m at an angle, with a level plain at the top.
func Slope(angleRad float64) Terrain {
	sin, cos := math.Sincos(angleRad)
	topX, topZ := startM+climbM*cos, climbM*sin
	return Terrain{
		Name: "slope:" + strconv.FormatFloat(angleRad*180/math.Pi, 'g', 6, 64),
		boxes: []box{
			{ // The centre lies half of the thickness below the middle of the upper side.
				centerM:  [3]float64{startM + climbM/2*cos + plateM*sin, 0, climbM/2*sin - plateM*cos},
				halfM:    [3]float64{climbM / 2, halfM, plateM},
				pitchRad: -angleRad,
			},
			{
				centerM: [3]float64{topX + plainM/2, 0, topZ - plateM},
				halfM:   [3]float64{plainM / 2, halfM, plateM},
			},
		},
	}
}

// ParseTerrain reads flat, steps:RISE with a rise in m, or slope:ANGLE with an angle in degrees.
func ParseTerrain(text string) (Terrain, error) {
	const maxRiseM, maxAngleDeg = 0.5, 45
	kind, number, _ := strings.Cut(text, ":")
	value, err := strconv.ParseFloat(number, 64)
	switch {
	case text == "flat":
		return Flat(), nil
	case kind == "steps" && err == nil && value > 0 && value <= maxRiseM:
		return Steps(value), nil
	case kind == "slope" && err == nil && value > 0 && value <= maxAngleDeg:
		return Slope(value * math.Pi / 180), nil
	}
	return Terrain{}, fmt.Errorf("terrain: found %q, expected flat, steps:RISE with up to %g m, or slope:ANGLE with up to %d degrees",
		text, maxRiseM, maxAngleDeg)
}

// UnmarshalText reads what ParseTerrain reads.
func (t *Terrain) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTerrain(string(text))
	return err
}
