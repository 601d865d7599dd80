package mujoco

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/testfile"
)

// Every robot stands on the boxes of a terrain. The feet of the G1 collide only with geoms that its contact pairs name.
func TestTerrain_carriesRobots(t *testing.T) {
	for _, name := range []string{"g1", "go1", "go2", "t1"} {
		for _, terrain := range []Terrain{Slope(10 * math.Pi / 180), Steps(0.1)} {
			t.Run(fmt.Sprintf("%s on %s", name, terrain.Name), func(t *testing.T) { checkStands(t, name, terrain) })
		}
	}
}

// checkStands puts a robot onto the plain at the top of a terrain.
func checkStands(t *testing.T, name string, terrain Terrain) {
	r, err := robot.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(r, testfile.Find(t, "KRABBY_MUJOCO"), testfile.Find(t, "KRABBY_"+strings.ToUpper(name)+"_MODEL"), 20*time.Millisecond, WithTerrain(terrain))
	if err == nil {
		err = b.Configure(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	start := b.State().HeightM
	q := numbers(b.data.qpos, int(b.model.nq))
	baseM := q[2]
	q[0], q[2] = 50, 50
	q[2] = 50 - b.State().HeightM + baseM // The top of the terrain is higher than the floor at the origin.
	o := &message.Observation{}
	for range 5 { // 0.1 s: a humanoid that only holds its pose falls later.
		if err := b.Read(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if slices.Contains(o.Contacts, false) || len(o.Contacts) != len(r.Feet) {
		t.Errorf("contacts = %v, want all of %q", o.Contacts, r.Feet)
	}
	if h := b.State().HeightM; math.Abs(h-start) > 0.05 {
		t.Errorf("height above the ground = %.3f m, want about %.3f", h, start)
	}
}
