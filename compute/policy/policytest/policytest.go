// Package policytest locates, loads and writes policies for tests, and locates the ONNX Runtime library.
//
// Environment variables name the files, in the forms that package testfile accepts:
//
//	KRABBY_POLICY       directory of a policy, or its manifest
//	KRABBY_G1_POLICY    likewise of g1_joystick; KRABBY_GO2_POLICY of go2_robot_lab, KRABBY_T1_POLICY of t1_joystick
//	KRABBY_ONNXRUNTIME  ONNX Runtime shared library
//	KRABBY_PARKOUR      output directory of compute/parkour/export/reference.py
//
// Only tests may import it.
package policytest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/testfile"
)

// Policy returns the directory of the policy that KRABBY_POLICY names.
func Policy(t testing.TB) string { return Directory(t, "KRABBY_POLICY") }

// Directory returns the directory of the policy that a variable names.
func Directory(t testing.TB, variable string) string {
	t.Helper()
	path := testfile.Find(t, variable)
	if filepath.Base(path) == policy.ManifestFile {
		path = filepath.Dir(path)
	}
	return path
}

// Library returns the path of the ONNX Runtime library.
func Library(t testing.TB) string {
	t.Helper()
	return testfile.Find(t, "KRABBY_ONNXRUNTIME")
}

// Parkour returns the directory of the parkour reference: the policy directories teacher and student, and golden, which
// has an episode with the expected observations and actions.
func Parkour(t testing.TB) string {
	t.Helper()
	return testfile.Find(t, "KRABBY_PARKOUR")
}

// Load loads the policy in dir.
func Load(t testing.TB, dir string) *policy.Policy {
	t.Helper()
	p, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Write writes a policy to the existing directory dir: manifest as JSON, and files, which maps names to contents. manifest
// is a policy.Manifest or anything else that encodes to JSON; its field "files" may be set to the result of Checksums.
func Write(dir string, manifest any, files map[string][]byte) error {
	content, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, policy.ManifestFile), content, 0o644)}
	for name, content := range files {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	}
	return errors.Join(errs...)
}

// Checksums returns the SHA-256 of each of files, in hex, by name.
func Checksums(files map[string][]byte) map[string]string {
	sums := map[string]string{}
	for name, content := range files {
		sum := sha256.Sum256(content)
		sums[name] = hex.EncodeToString(sum[:])
	}
	return sums
}

// Joystick returns a policy of r with the observation of the Go1 joystick policy, without models.
func Joystick(r *robot.Robot) *policy.Policy {
	o, ranges, _ := policy.KindObservation("go1_joystick")
	return &policy.Policy{Dir: "somewhere", Robot: r, Manifest: policy.Manifest{
		Name: "joystick", Robot: r.Name, JointOrder: r.JointNames(), DefaultPoseRad: r.DefaultPoseRad,
		Action: policy.Action{Scale: policy.Numbers{0.5}}, Observation: o, CommandRanges: ranges, ControlRateHz: 50,
	}}
}

// ParkourPolicy returns a policy of the Go2 with the observation of parkour, without models. Its joints are type by type.
func ParkourPolicy() *policy.Policy {
	r := robot.Go2()
	o, ranges, _ := policy.KindObservation("parkour")
	order := r.Orders["type_major"]
	pose := make([]float64, len(order))
	for i, name := range order {
		pose[i] = r.DefaultPoseRad[slices.Index(r.JointNames(), name)]
	}
	return &policy.Policy{Dir: "somewhere", Robot: r, Manifest: policy.Manifest{
		Name: "parkour", Robot: r.Name, JointOrder: order, DefaultPoseRad: pose,
		Action: policy.Action{Scale: policy.Numbers{0.25}}, Observation: o, CommandRanges: ranges, ControlRateHz: 50,
	}}
}
