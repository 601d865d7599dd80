package mujoco

import (
	"fmt"
	"math"
	"testing"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/testfile"
)

// The camera sees the ground wherever the robot is. MuJoCo's mj_multiRay drops a plane if the cutoff is less than the distance to
// the plane's origin, so that the floor once vanished 10 m from the start.
func TestCamera_anywhere(t *testing.T) {
	for _, terrain := range []Terrain{Flat(), Slope(10 * math.Pi / 180), Steps(0.05)} {
		for _, xM := range []float64{0, 9.8, 30, 1000} {
			t.Run(fmt.Sprintf("%s at %v m", terrain.Name, xM), func(t *testing.T) { checkGround(t, terrain, xM) })
		}
	}
}

// checkGround puts the robot upright onto the ground at x and compares each pixel with level ground.
func checkGround(t *testing.T, terrain Terrain, xM float64) {
	const aboveM = 0.3
	config := DefaultCamera()
	b, err := New(robot.Go1(), testfile.Find(t, "KRABBY_MUJOCO"), testfile.Find(t, "KRABBY_GO1_MODEL"), 10*time.Millisecond,
		WithTerrain(terrain), WithCamera(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	q := numbers(b.data.qpos, int(b.model.nq))
	q[0], q[2] = xM, 50
	groundM := 50 - b.State().HeightM
	q[2] = groundM + aboveM
	if err := b.step(0); err != nil {
		t.Fatal(err)
	}
	if h := b.State().HeightM; math.Abs(h-aboveM) > 1e-9 {
		t.Fatalf("height above the ground = %v m, want %v", h, aboveM)
	}
	o := &message.Observation{}
	b.camera.update(b, o)
	level := xM > 0 || terrain.Name == "flat" // From 1 m on there is a slope or steps ahead.
	seen, expected := 0, 0
	for i, axis := range b.camera.axis {
		distanceM := math.Inf(1) // Along the ray, to level ground.
		if down := -b.camera.rays[3*i+2]; down > 0 {
			distanceM = (aboveM + config.PositionM[2]) / down
		}
		if distanceM > config.RangeM {
			continue
		}
		expected++
		got := float64(o.Depth.Values[i])
		if got <= axis*distanceM+1e-5 {
			seen++
		}
		if level && math.Abs(got-axis*distanceM) > 1e-5 {
			t.Fatalf("depth of pixel %d = %v m, want %v", i, got, axis*distanceM)
		}
	}
	if seen != expected || expected < 5000 {
		t.Errorf("%d of %d pixels of the ground are seen, want all of 5000 or more", seen, expected)
	}
}
