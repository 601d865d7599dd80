package parkour_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/onnx/onnxtest"
	"krabby.dev/krabby/compute/parkour"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/message"
)

const (
	goldenSteps = 200
	tolerance   = 1e-5
)

// episode has the sensor data that export/reference.py generates.
type episode struct {
	Steps   []step `json:"steps"`
	Terrain struct {
		XM       float64   `json:"x_m"`
		YM       float64   `json:"y_m"`
		CellM    float64   `json:"cell_m"`
		Rows     int       `json:"rows"`
		Columns  int       `json:"columns"`
		HeightsM []float64 `json:"height_m"`
	} `json:"terrain"`
}

type step struct {
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
}

func (e *episode) heightMap() *parkour.HeightMap {
	return &parkour.HeightMap{
		XM: e.Terrain.XM, YM: e.Terrain.YM, CellM: e.Terrain.CellM,
		Rows: e.Terrain.Rows, Columns: e.Terrain.Columns, HeightsM: e.Terrain.HeightsM,
	}
}

func (s step) pose() parkour.Pose {
	return parkour.Pose{XM: s.BasePositionM[0], YM: s.BasePositionM[1], ZM: s.BasePositionM[2], YawRad: s.YawRad}
}

func (s step) guidance() parkour.Guidance {
	return parkour.Guidance{DeltaYawRad: s.DeltaYawRad, DeltaNextYawRad: s.DeltaNextYawRad, Flat: s.Flat}
}

// copyTo sets the sensor data of o, except the images.
func (s step) copyTo(o *message.Observation) {
	o.IMU.Orientation, o.IMU.AngularVelocityRadPerSec = s.Orientation, s.AngularVelocityRadPerSec
	copy(o.PositionRad, s.PositionRad)
	copy(o.VelocityRadPerSec, s.VelocityRadPerSec)
	copy(o.Contacts, s.Contacts)
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"teacher", "student"} {
		t.Run(name, func(t *testing.T) { checkGolden(t, name) })
	}
}

// checkGolden runs a policy on the episode and compares every observation, action, target and latent with golden values.
func checkGolden(t *testing.T, name string) {
	reference := policytest.Parkour(t)
	e, images := readEpisode(t, filepath.Join(reference, "golden"))
	p, sessions := open(t, filepath.Join(reference, name))

	i := 0
	b, err := parkour.New(p, sessions,
		parkour.WithScanner(&parkour.MapScanner{
			Map:  e.heightMap(),
			Pose: func(*message.Observation) (parkour.Pose, error) { return e.Steps[i].pose(), nil },
		}),
		parkour.WithGuidance(func(*message.Observation, message.NavigationCommand) parkour.Guidance { return e.Steps[i].guidance() }),
	)
	if err != nil {
		t.Fatal(err)
	}
	actor := sessions[policy.PolicyGraph].(*onnx.Session)
	latent := actor.InputOf("scan_latent") // Nil for the teacher.
	columns := p.Observation.Size + 12 + 12 + len(latent)
	golden := readFloats(t, filepath.Join(reference, "golden", name+".f32"), goldenSteps*columns)

	o := message.NewObservation(p.Robot)
	lastAction, targets := make([]float32, 12), make([]float64, 12)
	processor, worst := policy.NewActionProcessor(p), map[string]float64{}
	for ; i < goldenSteps; i++ {
		s := e.Steps[i]
		o.SessionID, o.Sequence = 1, uint64(i+1)
		s.copyTo(o)
		o.Depth.Resize(60, 106)
		copy(o.Depth.Values, images[i/5*60*106:])
		if i%5 != 0 {
			o.Depth.Clear() // The builder reads it in every 5th step only.
		}
		if err := b.Build(actor.Input(), o, message.NavigationCommand{VxMps: s.CommandVxMps}, lastAction); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if err := actor.Run(); err != nil {
			t.Fatal(err)
		}
		processor.Targets(targets, actor.Output())
		copy(lastAction, actor.Output())

		row := golden[i*columns : (i+1)*columns]
		for _, column := range []struct {
			name string
			got  []float32
		}{{"obs", actor.Input()}, {"action", actor.Output()}, {"target", narrow(targets)}, {"scan_latent", latent}} {
			compare(t, worst, i, column.name, column.got, row[:len(column.got)])
			row = row[len(column.got):]
		}
		if t.Failed() {
			t.FailNow() // All later steps would be wrong as well.
		}
	}
	for _, name := range slices.Sorted(maps.Keys(worst)) {
		t.Logf("%s: greatest difference %.1e", name, worst[name])
	}
}

func compare(t *testing.T, worst map[string]float64, step int, name string, got, want []float32) {
	t.Helper()
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		worst[name] = max(worst[name], d)
		if !(d <= tolerance) { // The negated comparison fails for NaN.
			t.Errorf("step %d: %s[%d] = %v, want %v ± %v", step, name, i, got[i], want[i], tolerance)
		}
	}
}

// open loads the policy in dir and returns it with a session of each graph.
func open(t *testing.T, dir string) (*policy.Policy, map[string]parkour.Model) {
	t.Helper()
	p := policytest.Load(t, dir)
	runtime := onnxtest.Open(t)
	sessions := map[string]parkour.Model{}
	for name := range p.Graphs {
		sessions[name] = onnxtest.NewSession(t, runtime, p, onnx.WithGraph(name))
	}
	return p, sessions
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

// The numbers of parameters show that the reference policies have the shapes of the documented networks.
func TestReferencePolicies_parameters(t *testing.T) {
	for name, want := range map[string]string{
		// The actor has 260302 parameters. Its encoder of privileged parameters (3220) serves training only and is left out.
		"teacher": fmt.Sprint(map[string]int64{"policy": 260302 - 3220, "estimator": 53*128 + 128 + 128*64 + 64 + 64*9 + 9}),
		// A student's actor has no scan encoder (27360): the depth encoder replaces it.
		"student": fmt.Sprint(map[string]int64{"policy": 260302 - 3220 - 27360, "estimator": 15753, "depth_encoder": 8882018}),
	} {
		p := policytest.Load(t, filepath.Join(policytest.Parkour(t), name))
		got := map[string]int64{}
		for graph, metadata := range p.Metadata {
			got[graph] = metadata.Parameters
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: parameters = %v, want %v", name, got, want)
		}
	}
}

func TestReferencePolicies_noAllocations(t *testing.T) {
	for _, name := range []string{"teacher", "student"} {
		t.Run(name, func(t *testing.T) {
			p, sessions := open(t, filepath.Join(policytest.Parkour(t), name))
			b, err := parkour.New(p, sessions, parkour.WithScanner(parkour.FlatScanner(0.3)))
			if err != nil {
				t.Fatal(err)
			}
			o := message.NewObservation(p.Robot)
			o.Depth.Resize(60, 106)
			actor, last := sessions[policy.PolicyGraph].(*onnx.Session), make([]float32, 12)
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

// The manifest of the exporter states the observation of the kind "parkour", which earlier versions of the manifest name.
func TestExport_observation(t *testing.T) {
	want, ranges, known := policy.KindObservation("parkour")
	if !known {
		t.Fatal("no kind parkour")
	}
	for _, name := range []string{"teacher", "student"} {
		p := policytest.Load(t, filepath.Join(policytest.Parkour(t), name))
		if !reflect.DeepEqual(p.Observation, want) || !reflect.DeepEqual(p.CommandRanges, ranges) {
			t.Errorf("%s: observation %+v with commands %+v, want %+v with %+v", name, p.Observation, p.CommandRanges, want, ranges)
		}
		kp, kd := p.RobotGains()
		if !slices.Equal(kp, p.Robot.Kp) || !slices.Equal(kd, p.Robot.Kd) {
			t.Errorf("%s: kp %v, kd %v; want the robot's", name, kp, kd)
		}
	}
}
