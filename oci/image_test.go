// Package oci_test tests the built images: their configuration, and their program, which runs from the files of the image.
// It reads image layouts and must not import the runtime.
package oci_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"krabby.dev/krabby/oci/container"
	"krabby.dev/krabby/oci/expectation"
)

// eachImage runs a test for every image of the variable IMAGES.
func eachImage(t *testing.T, test func(t *testing.T, image v1.Image)) {
	paths := strings.Fields(os.Getenv("IMAGES"))
	if len(paths) == 0 {
		t.Fatal("IMAGES is empty: run this test with Bazel")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) { test(t, container.Read(t, runfile(t, path))) })
	}
}

func TestImage_expectation(t *testing.T) { eachImage(t, checkExpectation) }

func checkExpectation(t *testing.T, image v1.Image) {
	if err := validate.Image(image); err != nil {
		t.Errorf("invalid image: %v", err)
	}
	want, err := expectation.Read(filepath.Join("testdata", filepath.Base(t.Name())+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	findings, err := want.Check(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range findings {
		t.Error(finding)
	}
}

func TestImage_edit_replacesProgramLayer(t *testing.T) {
	const mostMB = 8
	before := layers(t, container.Read(t, runfile(t, os.Getenv("BEFORE_EDIT"))))
	after := layers(t, container.Read(t, runfile(t, os.Getenv("AFTER_EDIT"))))
	if len(before) != len(after) {
		t.Fatalf("found %d layers before and %d after the edit", len(before), len(after))
	}
	last := len(after) - 1
	for i, layer := range after {
		if same := layer.Digest == before[i].Digest; same != (i != last) {
			t.Errorf("layer %d of %d: same is %v, expected the program's layer, the last, to change and no other", i+1, len(after), same)
		}
	}
	mb := float64(after[last].Size) / 1e6
	t.Logf("an edit transfers %.2f MB", mb)
	if mb > mostMB {
		t.Errorf("an edit transfers %.2f MB, expected at most %d MB", mb, mostMB)
	}
}

func layers(t *testing.T, image v1.Image) []v1.Descriptor {
	t.Helper()
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Layers
}

// report is the report of locomotion and gameloop. The docs of cmd/locomotion define it.
type report struct {
	Policy           string           `json:"policy"`
	Robot            string           `json:"robot"`
	RateMeasuredHz   float64          `json:"rate_measured_hz"`
	DurationS        float64          `json:"duration_s"`
	Ticks            int64            `json:"ticks"`
	ObservationsRead int64            `json:"observations_read"`
	Actions          int64            `json:"actions"`
	Skipped          map[string]int64 `json:"skipped"`
	MissedDeadlines  int64            `json:"missed_deadlines"`
	Action           struct {
		Finite   bool      `json:"finite"`
		Min      float64   `json:"min"`
		Max      float64   `json:"max"`
		First    []float64 `json:"first"`
		Last     []float64 `json:"last"`
		Distinct int64     `json:"distinct"`
	} `json:"action"`
	Server struct {
		Applied  int64            `json:"applied"`
		Rejected map[string]int64 `json:"rejected"`
		Safety   struct {
			Trips map[string]int64 `json:"trips"`
		} `json:"safety"`
	} `json:"server"`
}

func TestImage_runsPolicy(t *testing.T) { eachImage(t, checkRun) }

func checkRun(t *testing.T, image v1.Image) {
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	root := container.Unpack(t, image)
	stdout, stderr, code := start(t, root, config, "--duration=5s")
	// The game loop fails if a busy machine does not reach the rate. Other failures count.
	if code != 0 && !(code == 1 && strings.Contains(stderr, "gameloop: rate: ") && !strings.Contains(stderr, "actions: ")) {
		t.Fatalf("%v: exit code %d\n%s", config.Config.Entrypoint, code, stderr)
	}

	var got report
	if err := json.Unmarshal(stdout, &got); err != nil {
		t.Fatalf("invalid report: %v\n%s", err, stdout)
	}
	t.Logf("report: %s", stdout)

	if got.Policy != "go1_joystick" || got.Robot != "go1" {
		t.Errorf("policy %q for robot %q, expected go1_joystick for go1", got.Policy, got.Robot)
	}
	stale := got.Skipped["stale"]
	if got.Actions == 0 || got.ObservationsRead != got.Actions+stale {
		t.Errorf("%d observations read, %d actions, %d stale: every fresh observation must lead to exactly one action",
			got.ObservationsRead, got.Actions, stale)
	}
	// Emulation on a busy machine may miss deadlines of 50 Hz, and counts them.
	switch {
	case math.Abs(got.RateMeasuredHz-50) <= 5:
		t.Logf("the policy ran at %.2f Hz, within 10 %% of 50 Hz", got.RateMeasuredHz)
	case got.MissedDeadlines > 0:
		t.Logf("the machine is too slow (%.2f Hz, %d deadlines missed), but each observation led to one action",
			got.RateMeasuredHz, got.MissedDeadlines)
	default:
		t.Errorf("rate %.2f Hz without a missed deadline, expected 50 Hz +-10 %%", got.RateMeasuredHz)
	}
	if !got.Action.Finite {
		t.Errorf("an action is not finite")
	}
	if got.Action.Min >= 0 || got.Action.Max <= 0 {
		t.Errorf("actions between %v and %v, expected some on each side of zero", got.Action.Min, got.Action.Max)
	}
	if len(got.Action.First) != 12 || reflect.DeepEqual(got.Action.First, got.Action.Last) {
		t.Errorf("first action %v, last action %v: expected 12 joints and a change with the observation", got.Action.First, got.Action.Last)
	}
	if got.Action.Distinct < got.Actions*9/10 {
		t.Errorf("%d distinct of %d actions: actions must follow the observations", got.Action.Distinct, got.Actions)
	}
	// A busy machine causes late and superseded commands. Other reasons are errors.
	for _, late := range []string{"expired", "observation_old", "stale", "superseded", "unwritten"} {
		delete(got.Server.Rejected, late)
	}
	if got.Server.Applied == 0 || len(got.Server.Rejected) != 0 {
		t.Errorf("server applied %d commands and rejected %v", got.Server.Applied, got.Server.Rejected)
	}
	if len(got.Server.Safety.Trips) != 0 {
		t.Errorf("the robot was stopped: %v", got.Server.Safety.Trips)
	}
}

func TestImage_damagedPolicy(t *testing.T) { eachImage(t, checkRefusal) }

func checkRefusal(t *testing.T, image v1.Image) {
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	root := container.Unpack(t, image)
	if err := os.WriteFile(filepath.Join(root, "opt/krabby/policies/go1_joystick/policy.onnx"), []byte("not a model"), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := start(t, root, config, "--duration=1s")
	if code != 2 || len(stdout) != 0 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "policy.onnx") {
		t.Errorf("with a damaged policy: exit code %d, stdout %q, stderr %q; expected 2, nothing, one line naming policy.onnx", code, stdout, stderr)
	}
}

// start runs the entry point of the image.
func start(t *testing.T, root string, config *v1.ConfigFile, args ...string) (stdout []byte, stderr string, code int) {
	t.Helper()
	return container.Run(t, container.Command{
		Root: root, Config: config, Args: slices.Concat(config.Config.Entrypoint, args), QEMU: runfile(t, os.Getenv("QEMU")),
	})
}

func TestMain(m *testing.M) {
	container.Main()
	os.Exit(m.Run())
}

func runfile(t *testing.T, path string) string {
	t.Helper()
	file, err := runfiles.Rlocation(path)
	if err != nil {
		t.Fatalf("runfile %q: %v", path, err)
	}
	return file
}
