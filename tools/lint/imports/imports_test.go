package imports_test

import (
	"slices"
	"testing"
	"testing/fstest"

	"krabby.dev/krabby/tools/lint/imports"
	"krabby.dev/krabby/tools/lint/sources"
)

// krabby is the order of the house, from the ground up: facts, then bytes, then the two sides, then inference, then the
// programs that put all of it together. A new package gets a row here.
var krabby = imports.Table{
	Modules: map[string]string{
		"krabby.dev/krabby":    ".",
		"krabby.dev/rules_oci": "third_party/bazel/rules_oci",
	},
	Rows: []imports.Row{
		// The hardware abstraction layer never imports inference; only programs know both.
		{Packages: "hal/robot"},
		{Packages: "hal/clock"},
		{Packages: "hal/realtime"},
		{Packages: "hal/testfile"},
		{Packages: "hal/message", Imports: []string{"hal/robot"}},
		{Packages: "hal/wire", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "hal/wire/v1", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "hal/safety", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "hal/bus"},
		{
			Packages: "hal/server",
			Imports:  []string{"hal/bus", "hal/clock", "hal/message", "hal/robot", "hal/safety", "hal/wire", "hal/wire/v1"},
			Tests:    []string{"hal/client", "hal/synthetic"},
		},
		{
			Packages: "hal/client",
			Imports:  []string{"hal/bus", "hal/clock", "hal/message", "hal/robot", "hal/wire"},
			Tests:    []string{"hal/server", "hal/synthetic"},
		},
		{
			Packages: "hal/metrics",
			Imports:  []string{"hal/bus", "hal/client", "hal/safety", "hal/server"},
			Tests:    []string{"hal/message", "hal/robot", "hal/synthetic"},
		},

		// Programs, and what they have in common.
		{Packages: "hal/cmdline"},
		{
			Packages: "compute/inprocess",
			Imports: []string{
				"compute/joystick", "compute/onnx", "compute/parkour", "compute/policy", "compute/rollout", "compute/runner",
				"hal/bus", "hal/client", "hal/clock", "hal/cmdline", "hal/message", "hal/metrics", "hal/realtime", "hal/robot", "hal/safety",
				"hal/server", "hal/synthetic", "hal/wire", "hal/wire/v1",
			},
			Tests: []string{"compute/policy/graph/graphtest", "compute/policy/policytest", "compute/rollout/npz"},
		},
		{Packages: "compute/cmd/...", Imports: []string{"hal/...", "compute/..."}},
		{Packages: "hal/cmd/endpoint/endpointtest", Imports: []string{
			"hal/bus", "hal/clock", "hal/message", "hal/robot", "hal/server", "hal/synthetic",
		}},
		{
			Packages: "hal/cmd/...",
			Imports: []string{
				"hal/cmd/...", "hal/bus", "hal/client", "hal/clock", "hal/cmdline", "hal/message", "hal/robot", "hal/wire", "hal/wire/v1",
			},
		},
		{Packages: "hal/jetson/cmd/...", Imports: []string{"hal/...", "compute/...", "gameloop/..."}},
		{Packages: "hal/isaac/cmd/...", Imports: []string{"hal/...", "compute/...", "gameloop/..."}},
		{Packages: "gameloop/...", Imports: []string{"gameloop/...", "hal/...", "compute/..."}},

		// Backends do not know who serves them.
		{Packages: "hal/synthetic", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "hal/jetson/...", Imports: []string{"hal/jetson/...", "hal/clock", "hal/message", "hal/robot"}},
		{Packages: "hal/isaac/...", Imports: []string{"hal/isaac/...", "hal/clock", "hal/message", "hal/robot"}},
		{Packages: "hal/mujoco", Imports: []string{"hal/clock", "hal/message", "hal/robot"}, Tests: []string{"hal/testfile"}},

		// Inference. The loop knows policies by their interface, not what runs them.
		{Packages: "compute/parkour/export", Tests: []string{"compute/policy", "compute/policy/policytest"}},
		{Packages: "compute/policy/graph", Tests: []string{"compute/policy/graph/graphtest"}},
		{Packages: "compute/policy/graph/graphtest"},
		{Packages: "compute/policy", Imports: []string{"compute/policy/graph", "hal/robot"}, Tests: []string{"compute/policy/graph/graphtest"}},
		{Packages: "compute/policy/policytest", Imports: []string{"compute/policy", "hal/testfile"}},
		{Packages: "compute/onnx", Imports: []string{"compute/policy"}, Tests: []string{"compute/policy/graph/graphtest", "compute/policy/policytest"}},
		{
			Packages: "compute/joystick",
			Imports:  []string{"compute/policy", "hal/message", "hal/robot"},
			Tests:    []string{"compute/onnx", "compute/policy/policytest"},
		},
		{
			Packages: "compute/parkour",
			Imports:  []string{"compute/policy", "hal/message", "hal/robot"},
			Tests:    []string{"compute/onnx", "compute/policy/policytest"},
		},
		{Packages: "compute/rollout", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "compute/rollout/npz", Imports: []string{"compute/rollout"}, Tests: []string{"hal/testfile"}},
		{
			Packages: "compute/doctor",
			Imports:  []string{"compute/joystick", "compute/parkour", "compute/policy", "compute/rollout", "hal/message"},
			Tests:    []string{"hal/robot"},
		},
		{
			Packages: "compute/doctor/plot",
			Imports:  []string{"compute/doctor"},
			Tests:    []string{"compute/joystick", "compute/policy", "compute/rollout", "hal/message", "hal/robot"},
		},
		{
			Packages: "compute/runner",
			Imports:  []string{"compute/policy", "hal/client", "hal/clock", "hal/message", "hal/robot", "hal/wire"},
			Tests:    []string{"hal/bus", "hal/safety", "hal/server", "hal/synthetic"},
		},

		// What builds, checks and ships. Nothing of the robot depends on it, nor it on the robot.
		{Packages: "tools/bench/hal", Imports: []string{"tools/bench/...", "tools/program", "hal/..."}}, // Measures it, and ships nothing.
		{ // The same.
			Packages: "tools/bench/inference",
			Imports:  []string{"tools/bench/...", "tools/program", "compute/onnx", "compute/policy", "hal/clock"},
		},
		{Packages: "tools/...", Imports: []string{"tools/..."}},
		{
			Packages: "oci/python/hal", // The Python client against the Go side.
			Tests: []string{
				"hal/bus", "hal/clock", "hal/message", "hal/robot", "hal/safety", "hal/server", "hal/synthetic", "hal/wire", "hal/wire/v1", "oci/container",
			},
		},
		{Packages: "oci/...", Imports: []string{"oci/...", "tools/..."}},
		{Packages: "third_party/makeself", Tests: []string{"tools/layer/makeself"}},
		{Packages: "third_party/zed", Tests: []string{"tools/layer/tree"}},
		{Packages: "third_party/bazel/rules_oci/...", Imports: []string{"third_party/bazel/rules_oci/..."}},
	},
	Only: map[string][]string{
		"C":                               {"hal/bus", "hal/mujoco", "hal/isaac/...", "hal/jetson/zed", "compute/onnx"},
		"github.com/yalue/onnxruntime_go": {"compute/onnx"},
		"codeberg.org/sbinet/npyio/npy":   {"compute/rollout/npz"}, // It brings gonum and a reader of pickles.
	},
}

func TestDependencyDirections(t *testing.T) {
	violations, err := krabby.Check(sources.Read(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range violations {
		t.Error(violation)
	}
	if t.Failed() {
		t.Log("move the code, or, where a new package belongs elsewhere, its row in tools/lint/imports/imports_test.go")
	}
}

func TestCheck(t *testing.T) {
	table := imports.Table{
		Modules: map[string]string{"a.dev/a": ".", "a.dev/nested": "nested"},
		Rows: []imports.Row{
			{Packages: "ground"},
			{Packages: "middle", Imports: []string{"ground"}, Tests: []string{"top/..."}},
			{Packages: "top/...", Imports: []string{"middle", "top/..."}},
			{Packages: "nested/...", Imports: []string{"nested/..."}},
		},
		Only: map[string][]string{"C": {"ground"}, "example.com/c": {"ground"}},
	}
	for name, test := range map[string]struct {
		file, source string
		want         []string
	}{
		"downwards":             {"middle/a.go", "package middle\nimport \"a.dev/a/ground\"\n", nil},
		"upwards":               {"ground/a.go", "package ground\nimport _ \"a.dev/a/middle\"\n", []string{"ground/a.go:2: ground imports middle, may import only: nothing of ours"}},
		"past a layer":          {"top/b/a.go", "package b\nimport \"a.dev/a/ground\"\n", []string{"top/b/a.go:2: top/b imports ground, may import only: middle, top/..."}},
		"below a pattern":       {"top/b/a.go", "package b\nimport \"a.dev/a/top\"\n", nil},
		"upwards from a test":   {"middle/a_test.go", "package middle_test\nimport (\n\t\"a.dev/a/middle\"\n\t\"a.dev/a/top/b\"\n)\n", nil},
		"only tests may":        {"middle/a.go", "package middle\nimport \"a.dev/a/top\"\n", []string{"middle/a.go:2: middle imports top, may import only: ground"}},
		"the root package":      {"ground/a.go", "package ground\nimport \"a.dev/a\"\n", []string{"ground/a.go:2: ground imports ., may import only: nothing of ours"}},
		"another module":        {"nested/x/a.go", "package x\nimport \"a.dev/a/ground\"\n", []string{"nested/x/a.go:2: nested/x imports ground, may import only: nested/..."}},
		"within another module": {"nested/x/a.go", "package x\nimport \"a.dev/nested/y\"\n", nil},
		"a similar name":        {"ground/a.go", "package ground\nimport \"a.dev/ab/middle\"\n", nil},
		"the standard library":  {"ground/a.go", "package ground\nimport \"fmt\"\n", nil},
		"cgo where it may be":   {"ground/a.go", "package ground\nimport \"C\"\n", nil},
		"cgo elsewhere":         {"top/a.go", "package top\nimport \"C\"\n", []string{"top/a.go:2: top imports \"C\", which only these may: ground"}},
		"a cgo module elsewhere": {"top/a.go", "package top\n\nimport (\n\t\"fmt\"\n\tc \"example.com/c/v4\"\n)\n", []string{
			"top/a.go:5: top imports \"example.com/c/v4\", which only these may: ground",
		}},
		"no row":   {"new/a.go", "package new\n", []string{"new/a.go:1: new has no row in the table"}},
		"testdata": {"ground/testdata/a.go", "package not Go\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			violations, err := table.Check(fstest.MapFS{test.file: {Data: []byte(test.source)}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, violation := range violations {
				got = append(got, violation.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("Check = %q, want %q", got, test.want)
			}
		})
	}
}

func TestCheckReportsFilesThatAreNotGo(t *testing.T) {
	table := imports.Table{Rows: []imports.Row{{Packages: "a"}}}
	if violations, err := table.Check(fstest.MapFS{"a/a.go": {Data: []byte("import")}}); err == nil {
		t.Errorf("Check = %v, want an error", violations)
	}
}
