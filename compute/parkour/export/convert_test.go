// Package export_test converts checkpoints by the Python program convert.py and loads the policies.
package export_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/compute/policy/policytest"
)

// python runs a program of this directory: with the pinned Python under Bazel, with the interpreter KRABBY_PYTHON, which needs
// the packages numpy and onnx, under plain "go test".
func python(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var command *exec.Cmd
	if tool := os.Getenv("PYTHON_TOOL"); tool != "" {
		flags := []string{"--root=" + runfile(t, os.Getenv("PYTHON_SYSTEM")), "--root=" + runfile(t, os.Getenv("PYTHON_PACKAGES")), "--"}
		command = exec.Command(runfile(t, tool), append(flags, args...)...)
	} else if interpreter := os.Getenv("KRABBY_PYTHON"); interpreter != "" {
		command = exec.Command(interpreter, append([]string{"-B"}, args...)...)
	} else if os.Getenv("TEST_TARGET") != "" {
		t.Fatal("PYTHON_TOOL is not set: give this test its data and env")
	} else {
		t.Skip("KRABBY_PYTHON is not set")
	}
	var out, diagnostics bytes.Buffer
	command.Stdout, command.Stderr = &out, &diagnostics
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), diagnostics.String(), command.ProcessState.ExitCode()
}

func runfile(t *testing.T, path string) string {
	t.Helper()
	found, err := runfiles.Rlocation(path)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// checkpoints returns a directory with the checkpoints of testdata/make_checkpoint.py.
func checkpoints(t *testing.T, flags ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "checkpoints")
	if _, stderr, code := python(t, append([]string{"testdata/make_checkpoint.py", dir}, flags...)...); code != 0 {
		t.Fatalf("making checkpoints: exit code %d\n%s", code, stderr)
	}
	return dir
}

// checkConversion converts the valid checkpoints in dir, which have the weights of the reference policies, and compares the
// models with those of the reference policies.
func checkConversion(t *testing.T, dir string) {
	t.Helper()
	for _, kind := range []string{"teacher", "student"} {
		out := filepath.Join(t.TempDir(), kind)
		if _, stderr, code := python(t, "convert.py", filepath.Join(dir, kind+".pt"), out, "--kind="+kind, "--source=a test", "--license=none"); code != 0 || stderr != "" {
			t.Fatalf("%s: exit code %d, stderr %s", kind, code, stderr)
		}
		got, want := policytest.Load(t, out), policytest.Load(t, filepath.Join(policytest.Parkour(t), kind))
		if fmt.Sprint(got.Files) != fmt.Sprint(want.Files) {
			t.Errorf("%s: files = %v, want those of the reference policy, %v", kind, got.Files, want.Files)
		}
		if p := got.Provenance; got.Name != "parkour_"+kind || p.Source != "a test" || p.License != "none" || !strings.HasPrefix(p.Path, kind+".pt sha256 ") {
			t.Errorf("%s: name %q, provenance %+v", kind, got.Name, p)
		}
	}
}

func TestConvert(t *testing.T) {
	checkConversion(t, checkpoints(t))
}

// TestConvert_torch needs torch, which the pinned Python of Bazel does not have.
func TestConvert_torch(t *testing.T) {
	if _, _, code := python(t, "-c", "import torch"); code != 0 {
		t.Skip("torch is not installed")
	}
	dir := checkpoints(t, "--torch")
	checkConversion(t, dir)
	_, stderr, code := python(t, "convert.py", filepath.Join(dir, "command.pt"), filepath.Join(dir, "out"), "--kind=teacher", "--source=a test")
	if code != 1 || !strings.HasPrefix(stderr, "convert: ") || !strings.Contains(stderr, "found") {
		t.Errorf("checkpoint with a command: exit code %d, stderr %q", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the command in the checkpoint ran")
	}
}

func TestConvert_rejected(t *testing.T) {
	dir := checkpoints(t)
	stdout, stderr, code := python(t, "testdata/convert_all.py", dir)
	if code != 0 {
		t.Fatalf("converting all: exit code %d\n%s", code, stderr)
	}
	var results map[string]struct {
		Code   int
		Stderr string
		Made   bool
	}
	if err := json.Unmarshal([]byte(stdout), &results); err != nil {
		t.Fatal(err)
	}
	const first = "model_state_dict: actor.actor_backbone.0.weight: "
	for name, want := range map[string]string{
		"command":      "found io.open, expected only tensors in dictionaries, lists and tuples",
		"missing":      first + "tensor of shape [512, 114] not found",
		"more":         "model_state_dict: found actor.actor_backbone.8.weight, expected only the weights of the documented network",
		"shape":        first + "found float32 of shape [512, 113], expected float32 of shape [512, 114]",
		"half":         first + "found float16 of shape [512, 114], expected float32",
		"not_finite":   first + "found NaN or infinity, expected finite numbers",
		"no_estimator": "estimator_state_dict: dictionary of weights not found",
		"beyond":       "found a tensor that ends at 1885, expected less than 1856, the size of its storage",
		"compressed":   "data.pkl: found a compressed entry",
		"no_storage":   "storage 0 not found in the zip file",
		"no_version":   "version not found in the zip file",
		"garbage":      "invalid pickle: ",
		"pickle":       "not a zip file, as checkpoints of PyTorch 1.6 and newer are",
		"nothing":      "no such file or directory",
	} {
		r, ok := results[name]
		if !ok || r.Code != 1 || !strings.HasPrefix(r.Stderr, "convert: ") || !strings.Contains(r.Stderr, want) || strings.Count(r.Stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, stderr %q; want 1 and one line with %q", name, r.Code, r.Stderr, want)
		}
		if r.Made {
			t.Errorf("%s: a policy directory was written", name)
		}
	}
	if valid := results["teacher"]; valid.Code != 0 || !valid.Made {
		t.Errorf("valid checkpoint: exit code %d, stderr %q", valid.Code, valid.Stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the command in the checkpoint ran")
	}
	_, stderr, code = python(t, "convert.py", filepath.Join(dir, "teacher.pt"), dir, "--kind=teacher", "--source=a test")
	if code != 1 || !strings.Contains(stderr, "already exists") {
		t.Errorf("existing directory: exit code %d, stderr %q", code, stderr)
	}
	if _, stderr, code := python(t, "convert.py", filepath.Join(dir, "teacher.pt"), filepath.Join(dir, "out")); code != 2 || !strings.Contains(stderr, "--kind") {
		t.Errorf("no --kind: exit code %d, stderr %q; want 2 and usage", code, stderr)
	}
}
