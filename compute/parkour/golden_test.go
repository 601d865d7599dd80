package parkour_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/parkour"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/message"
)

const (
	goldenSteps = 200
	tolerance   = 1e-5
)

// episode is what the sensors say; export/reference.py says how it was made.
type episode struct {
	Steps []struct {
		YawRad                   float64    `json:"yaw_rad"`
		Orientation              [4]float64 `json:"orientation"`
		AngularVelocityRadPerSec [3]float64 `json:"angular_velocity_rad_per_sec"`
		PositionRad              []float64  `json:"position_rad"`
		VelocityRadPerSec        []float64  `json:"velocity_rad_per_sec"`
		Contacts                 []bool     `json:"contacts"`
		CommandVxMps             float64    `json:"command_vx_mps"`
		DeltaYawRad              float64    `json:"delta_yaw_rad"`
		DeltaNextYawRad          float64    `json:"delta_next_yaw_rad"`
		Flat                     bool       `json:"flat"`
		BasePositionM            [3]float64 `json:"base_position_m"`
	} `json:"steps"`
	Terrain struct {
		XM       float64   `json:"x_m"`
		YM       float64   `json:"y_m"`
		CellM    float64   `json:"cell_m"`
		Rows     int       `json:"rows"`
		Columns  int       `json:"columns"`
		HeightsM []float64 `json:"height_m"`
	} `json:"terrain"`
}

func TestGoAgreesWithNumpy(t *testing.T) {
	for _, name := range []string{"teacher", "student"} {
		t.Run(name, func(t *testing.T) { follow(t, name) })
	}
}

// follow plays the episode to a policy, through policy.Load, the builder and ONNX Runtime, and compares every value.
func follow(t *testing.T, name string) {
	reference := policytest.Parkour(t)
	e, images := readEpisode(t, filepath.Join(reference, "golden"))
	p, graphs := open(t, filepath.Join(reference, name))

	step := 0
	b, err := parkour.New(p, graphs,
		parkour.WithScanner(&parkour.MapScanner{
			Map: &parkour.HeightMap{
				XM: e.Terrain.XM, YM: e.Terrain.YM, CellM: e.Terrain.CellM,
				Rows: e.Terrain.Rows, Columns: e.Terrain.Columns, HeightsM: e.Terrain.HeightsM,
			},
			Pose: func(*message.Observation) (parkour.Pose, error) {
				s := e.Steps[step]
				return parkour.Pose{XM: s.BasePositionM[0], YM: s.BasePositionM[1], ZM: s.BasePositionM[2], YawRad: s.YawRad}, nil
			},
		}),
		parkour.WithGuide(func(*message.Observation, message.NavigationCommand) parkour.Guidance {
			s := e.Steps[step]
			return parkour.Guidance{DeltaYawRad: s.DeltaYawRad, DeltaNextYawRad: s.DeltaNextYawRad, Flat: s.Flat}
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	actor := graphs[policy.PolicyGraph].(*onnx.Session)
	latent := actor.InputOf("scan_latent") // Nil for the teacher.
	columns := parkour.Size + 12 + 12 + len(latent)
	golden := readFloats(t, filepath.Join(reference, "golden", name+".f32"), goldenSteps*columns)

	o := message.NewObservation(p.Robot)
	lastAction, targets := make([]float32, 12), make([]float64, 12)
	worst := map[string]float64{}
	for ; step < goldenSteps; step++ {
		s := e.Steps[step]
		o.SessionID, o.Sequence = 1, uint64(step+1)
		o.IMU.Orientation, o.IMU.AngularVelocityRadPerSec = s.Orientation, s.AngularVelocityRadPerSec
		copy(o.PositionRad, s.PositionRad)
		copy(o.VelocityRadPerSec, s.VelocityRadPerSec)
		copy(o.Contacts, s.Contacts)
		o.Depth.Resize(60, 106)
		copy(o.Depth.Values, images[step/5*60*106:])
		if step%5 != 0 {
			o.Depth.Clear() // Between looks it does not look.
		}
		if err := b.Build(actor.Input(), o, message.NavigationCommand{VxMps: s.CommandVxMps}, lastAction); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if err := actor.Run(); err != nil {
			t.Fatal(err)
		}
		p.Targets(targets, actor.Output())
		copy(lastAction, actor.Output())

		row := golden[step*columns : (step+1)*columns]
		for _, part := range []struct {
			name string
			got  []float32
		}{{"obs", actor.Input()}, {"action", actor.Output()}, {"target", narrow(targets)}, {"scan_latent", latent}} {
			compare(t, worst, step, part.name, part.got, row[:len(part.got)])
			row = row[len(part.got):]
		}
		if t.Failed() {
			t.FailNow() // One wrong step makes all that follow wrong.
		}
	}
	for _, part := range slices.Sorted(maps.Keys(worst)) {
		t.Logf("%s: greatest difference %.1e", part, worst[part])
	}
}

func compare(t *testing.T, worst map[string]float64, step int, part string, got, want []float32) {
	t.Helper()
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		worst[part] = max(worst[part], d)
		if !(d <= tolerance) { // Written so that NaN fails.
			t.Errorf("step %d: %s[%d] = %v, want %v ± %v", step, part, i, got[i], want[i], tolerance)
		}
	}
}

// open loads a policy and makes all of its graphs ready.
func open(t *testing.T, dir string) (*policy.Policy, map[string]parkour.Graph) {
	t.Helper()
	p, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := onnx.Open(policytest.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.Close() })
	graphs := map[string]parkour.Graph{}
	for name := range p.Graphs {
		session, err := runtime.NewSession(p, onnx.WithGraph(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { session.Close() })
		graphs[name] = session
	}
	return p, graphs
}

func readEpisode(t *testing.T, dir string) (*episode, []float32) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "episode.json"))
	if err != nil {
		t.Fatal(err)
	}
	var e episode
	if err := json.Unmarshal(content, &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Steps) != goldenSteps {
		t.Fatalf("an episode of %d steps, want %d", len(e.Steps), goldenSteps)
	}
	return &e, readFloats(t, filepath.Join(dir, "depth.f32"), goldenSteps/5*60*106)
}

func readFloats(t *testing.T, path string, count int) []float32 {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) != 4*count {
		t.Fatalf("%s: %d bytes, want %d", path, len(content), 4*count)
	}
	values := make([]float32, count)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(content[4*i:]))
	}
	return values
}

func narrow(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}

// The shapes are those of the documented networks: their parameters are counted.
func TestTheReferencePoliciesHaveTheDocumentedNetworks(t *testing.T) {
	for name, want := range map[string]string{
		// The actor has 260302 parameters with the encoder of privileged states (3220), which is of use in training only.
		"teacher": fmt.Sprint(map[string]int64{"policy": 260302 - 3220, "estimator": 53*128 + 128 + 128*64 + 64 + 64*9 + 9}),
		// Without the scan's encoder (27360), in whose place the depth encoder is.
		"student": fmt.Sprint(map[string]int64{"policy": 260302 - 3220 - 27360, "estimator": 15753, "depth_encoder": 8882018}),
	} {
		p, err := policy.Load(filepath.Join(policytest.Parkour(t), name))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for graph, declared := range p.Declared {
			got[graph] = declared.Parameters
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: parameters = %v, want %v", name, got, want)
		}
	}
}

func TestAStepOfTheReferencePoliciesDoesNotAllocate(t *testing.T) {
	for _, name := range []string{"teacher", "student"} {
		t.Run(name, func(t *testing.T) {
			p, graphs := open(t, filepath.Join(policytest.Parkour(t), name))
			b, err := parkour.New(p, graphs, parkour.WithScanner(parkour.Flat(0.3)))
			if err != nil {
				t.Fatal(err)
			}
			o := message.NewObservation(p.Robot)
			o.Depth.Resize(60, 106)
			actor, last := graphs[policy.PolicyGraph].(*onnx.Session), make([]float32, 12)
			if n := testing.AllocsPerRun(20, func() {
				if err := b.Build(actor.Input(), o, message.NavigationCommand{VxMps: 0.5}, last); err != nil {
					t.Fatal(err)
				}
				if err := actor.Run(); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v allocations a step, want 0", n)
			}
		})
	}
}
