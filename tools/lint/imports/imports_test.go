package imports_test

import (
	"slices"
	"testing"
	"testing/fstest"

	"krabby.dev/krabby/tools/lint/finding/findingtest"
	"krabby.dev/krabby/tools/lint/imports"
	"krabby.dev/krabby/tools/lint/sources"
)

// krabby has the allowed imports, from the lowest layer to the highest: the hardware abstraction layer, backends, inference, the
// wiring of all of them, programs, tools. A new package requires a row.
var krabby = imports.Table{
	Modules: map[string]string{
		"krabby.dev/krabby":    ".",
		"krabby.dev/rules_oci": "rules_oci",
		"example.com/my_robot": "examples/my_robot",
	},
	Rows: []imports.Row{
		// The lowest layer: packages that import no other layer.
		{Packages: "internal/cli"},
		{Packages: "internal/cli/clitest", Imports: []string{"internal/cli"}},
		{Packages: "internal/testfile"},

		// The hardware abstraction layer never imports inference.
		{Packages: "hal/robot"},
		{Packages: "hal/clock"},
		{Packages: "hal/realtime"},
		{Packages: "hal/message", Imports: []string{"hal/robot", "internal/cli"}},
		{Packages: "hal/wire", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "hal/wire/v1", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "hal/safety", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "hal/bus/internal/ring"},
		{
			Packages: "hal/bus",
			Imports:  []string{"hal/bus/internal/ring"},
			Tests:    []string{"hal/bus/bustest"},
		},
		{Packages: "hal/bus/bustest", Imports: []string{"hal/bus"}},
		{
			Packages: "hal/server",
			Imports:  []string{"hal/backend", "hal/bus", "hal/clock", "hal/message", "hal/robot", "hal/safety", "hal/wire", "hal/wire/v1"},
			Tests:    []string{"hal/backend/backendtest", "hal/bus/bustest", "hal/client", "hal/synthetic"},
		},
		{
			Packages: "hal/client",
			Imports:  []string{"hal/bus", "hal/clock", "hal/message", "hal/robot", "hal/wire"},
			Tests:    []string{"hal/backend/backendtest", "hal/bus/bustest", "hal/server", "hal/synthetic"},
		},
		{
			Packages: "hal/metrics",
			Imports:  []string{"hal/backend", "hal/bus", "hal/client", "hal/safety", "hal/server"},
			Tests:    []string{"hal/backend/backendtest", "hal/message", "hal/robot", "hal/synthetic"},
		},

		// Backends do not import the server; only the registry imports all of them.
		{Packages: "hal/backend", Imports: []string{"hal/clock", "hal/message", "hal/robot"}},
		{Packages: "hal/backend/backendtest", Imports: []string{"hal/backend"}},
		{Packages: "hal/synthetic", Imports: []string{"hal/backend", "hal/message", "hal/robot"}},
		{
			Packages: "hal/mujoco",
			Imports:  []string{"hal/backend", "hal/clock", "hal/message", "hal/robot"},
			Tests:    []string{"hal/backend/backendtest", "internal/testfile"},
		},
		{Packages: "hal/mujoco/importer", Imports: []string{"hal/mujoco", "hal/robot"}},
		{
			Packages: "hal/backends",
			Imports:  []string{"hal/backend", "hal/mujoco", "hal/synthetic"},
			Tests:    []string{"hal/clock", "hal/robot"},
		},

		// Inference. The loop uses policies through an interface.
		{Packages: "compute/parkour/export", Tests: []string{"compute/policy/policytest"}},
		{Packages: "compute/policy/graph", Tests: []string{"compute/policy/graph/graphtest"}},
		{Packages: "compute/policy/graph/graphtest"},
		{
			Packages: "compute/policy",
			Imports:  []string{"compute/policy/graph", "hal/robot"},
			Tests:    []string{"compute/policy/graph/graphtest", "compute/policy/policytest"},
		},
		{
			Packages: "compute/policy/importer",
			Imports:  []string{"compute/policy", "compute/policy/graph", "hal/robot"},
			Tests:    []string{"compute/onnx", "compute/onnx/onnxtest", "compute/policy/graph/graphtest", "compute/policy/policytest"},
		},
		{Packages: "compute/policy/policytest", Imports: []string{"compute/policy", "hal/robot", "internal/testfile"}},
		{
			Packages: "compute/onnx",
			Imports:  []string{"compute/policy"},
			Tests:    []string{"compute/onnx/onnxtest", "compute/policy/graph", "compute/policy/graph/graphtest", "compute/policy/policytest"},
		},
		{Packages: "compute/onnx/onnxtest", Imports: []string{"compute/onnx", "compute/policy", "compute/policy/policytest"}},
		{
			Packages: "compute/observation",
			Imports:  []string{"compute/policy", "hal/message", "hal/robot"},
			Tests:    []string{"compute/onnx/onnxtest", "compute/policy/policytest"},
		},
		{
			Packages: "compute/parkour",
			Imports:  []string{"compute/observation", "compute/policy", "hal/message"},
			Tests:    []string{"compute/onnx", "compute/onnx/onnxtest", "compute/policy/policytest", "hal/robot"},
		},
		{Packages: "compute/rollout", Imports: []string{"hal/message", "hal/robot"}},
		{Packages: "compute/rollout/npz", Imports: []string{"compute/rollout"}, Tests: []string{"internal/testfile"}},
		{
			Packages: "compute/doctor",
			Imports:  []string{"compute/observation", "compute/policy", "compute/rollout", "hal/message"},
			Tests:    []string{"compute/policy/policytest", "hal/robot"},
		},
		{
			Packages: "compute/doctor/plot",
			Imports:  []string{"compute/doctor"},
			Tests:    []string{"compute/observation", "compute/policy/policytest", "compute/rollout", "hal/message", "hal/robot"},
		},
		{
			Packages: "compute/runner",
			Imports:  []string{"compute/policy", "hal/client", "hal/clock", "hal/message", "hal/robot", "hal/wire"},
			Tests:    []string{"hal/backend/backendtest", "hal/bus", "hal/safety", "hal/server", "hal/synthetic"},
		},
		{
			Packages: "compute/inference",
			Imports:  []string{"compute/observation", "compute/onnx", "compute/parkour", "compute/policy", "compute/runner", "hal/message", "hal/robot"},
			Tests:    []string{"compute/policy/policytest"},
		},

		// The wiring, and the checks of its results.
		{
			Packages: "internal/bringup",
			Imports:  []string{"compute/policy", "compute/runner", "hal/backend", "hal/bus", "hal/client", "hal/clock", "hal/robot", "hal/safety", "hal/server"},
			Tests:    []string{"hal/message", "hal/synthetic"},
		},
		{Packages: "gameloop/...", Imports: []string{"gameloop/...", "internal/...", "hal/...", "compute/..."}},

		// Programs.
		{
			Packages: "cmd/internal/endpoint/...",
			Imports: []string{
				"cmd/internal/endpoint/...", "cmd/internal/robotflag", "hal/backend", "hal/backend/backendtest", "hal/bus", "hal/client", "hal/clock", "hal/message", "hal/robot",
				"hal/server", "hal/synthetic", "hal/wire", "hal/wire/v1", "internal/cli",
			},
		},
		{Packages: "cmd/internal/robotflag", Imports: []string{"hal/robot", "internal/cli"}},
		{Packages: "cmd/...", Imports: []string{"cmd/internal/...", "compute/...", "gameloop/...", "hal/...", "internal/..."}},

		// Tools for builds, checks and releases. The robot's software does not import them.
		{Packages: "tools/bench/hal", Imports: []string{"tools/bench/...", "internal/...", "hal/..."}},
		{
			Packages: "tools/bench/inference",
			Imports:  []string{"tools/bench/...", "internal/cli/...", "compute/observation", "compute/onnx", "compute/policy", "compute/rollout", "hal/clock", "hal/message", "hal/robot"},
			Tests:    []string{"compute/policy/policytest"},
		},
		{Packages: "tools/...", Imports: []string{"tools/...", "internal/cli/..."}, Tests: []string{"internal/testfile"}},
		{
			Packages: "oci/python/hal", // The Python client against the Go server.
			Tests: []string{
				"hal/backend", "hal/backend/backendtest", "hal/bus", "hal/clock", "hal/message", "hal/robot", "hal/safety", "hal/server", "hal/synthetic",
				"hal/wire", "hal/wire/v1", "oci/container",
			},
		},
		{Packages: "oci/testdata/edit"},
		{Packages: "oci/...", Imports: []string{"oci/...", "tools/..."}},
		{Packages: "third_party/cargo"},
		{Packages: "third_party/makeself", Imports: []string{"internal/cli", "tools/rootfs"}, Tests: []string{"tools/layer/makeself"}},
		{Packages: "third_party/zed", Tests: []string{"internal/testfile", "tools/layer/tree"}},
		{Packages: "rules_oci/...", Imports: []string{"rules_oci/..."}},

		// Workspaces of users, which import public packages only.
		{Packages: "examples/...", Imports: []string{"compute/doctor", "compute/observation", "compute/onnx", "compute/policy", "hal/bus", "hal/client", "hal/message", "hal/robot", "hal/wire"}},
	},
	Only: map[string][]string{
		"C":                               {"hal/mujoco", "compute/onnx"},
		"github.com/pebbe/zmq4":           {"hal/bus"}, // It is cgo.
		"github.com/yalue/onnxruntime_go": {"compute/onnx"},
		"codeberg.org/sbinet/npyio/npy":   {"compute/rollout/npz"}, // It imports gonum and a reader of pickles.
	},
}

func TestCheck_repository(t *testing.T) {
	findingtest.Repository(t, krabby.Check, "move the code, or change the row of the package in tools/lint/imports/imports_test.go")
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
		"lower layer":                  {"middle/a.go", "package middle\nimport \"a.dev/a/ground\"\n", nil},
		"higher layer":                 {"ground/a.go", "package ground\nimport _ \"a.dev/a/middle\"\n", []string{"ground/a.go:2: ground imports middle, allowed: no packages of these modules"}},
		"skipped layer":                {"top/b/a.go", "package b\nimport \"a.dev/a/ground\"\n", []string{"top/b/a.go:2: top/b imports ground, allowed: middle, top/..."}},
		"below a pattern":              {"top/b/a.go", "package b\nimport \"a.dev/a/top\"\n", nil},
		"test import":                  {"middle/a_test.go", "package middle_test\nimport (\n\t\"a.dev/a/middle\"\n\t\"a.dev/a/top/b\"\n)\n", nil},
		"test import outside a test":   {"middle/a.go", "package middle\nimport \"a.dev/a/top\"\n", []string{"middle/a.go:2: middle imports top, allowed: ground"}},
		"root package":                 {"ground/a.go", "package ground\nimport \"a.dev/a\"\n", []string{"ground/a.go:2: ground imports ., allowed: no packages of these modules"}},
		"import of another module":     {"nested/x/a.go", "package x\nimport \"a.dev/a/ground\"\n", []string{"nested/x/a.go:2: nested/x imports ground, allowed: nested/..."}},
		"import within another module": {"nested/x/a.go", "package x\nimport \"a.dev/nested/y\"\n", nil},
		"similar name":                 {"ground/a.go", "package ground\nimport \"a.dev/ab/middle\"\n", nil},
		"standard library":             {"ground/a.go", "package ground\nimport \"fmt\"\n", nil},
		"allowed cgo":                  {"ground/a.go", "package ground\nimport \"C\"\n", nil},
		"other cgo":                    {"top/a.go", "package top\nimport \"C\"\n", []string{"top/a.go:2: top imports \"C\", allowed in: ground"}},
		"other cgo module": {"top/a.go", "package top\n\nimport (\n\t\"fmt\"\n\tc \"example.com/c/v4\"\n)\n", []string{
			"top/a.go:5: top imports \"example.com/c/v4\", allowed in: ground",
		}},
		"no row":   {"new/a.go", "package new\n", []string{"new/a.go:1: new has no row in the table"}},
		"testdata": {"ground/testdata/a.go", "package not Go\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			findingtest.File(t, table.Check, test.file, test.source, test.want)
		})
	}
}

func TestMissing_repository(t *testing.T) {
	for _, missing := range krabby.Missing(sources.Read(t)) {
		t.Errorf("the table names %s, which does not exist", missing)
	}
}

func TestMissing(t *testing.T) {
	table := imports.Table{
		Rows: []imports.Row{
			{Packages: "a", Imports: []string{"b", "b/...", "c"}, Tests: []string{"d/..."}},
			{Packages: "e/f", Imports: []string{"c"}},
		},
		Only: map[string][]string{"C": {"a", "g"}},
	}
	tree := fstest.MapFS{"a/a.go": {}, "b/b.go": {}, "e/f": {Data: []byte("a file")}}
	if got, want := table.Missing(tree), []string{"c", "d/...", "e/f", "g"}; !slices.Equal(got, want) {
		t.Errorf("Missing = %q, want %q", got, want)
	}
}

func TestCheck_invalidFile(t *testing.T) {
	table := imports.Table{Rows: []imports.Row{{Packages: "a"}}}
	findingtest.Invalid(t, table.Check, "a/a.go", "import")
}
