package main

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/cli/clitest"
	"krabby.dev/krabby/tools/bench/latency"
)

// TestMain makes this program a busy process if it has the flag --burn.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "--burn" {
		burn(os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestExitCodes(t *testing.T) {
	clitest.Check(t, program, map[string]clitest.Case{
		"help":              {Args: []string{"--help"}, Code: cli.ExitOK, Stdout: "docs/benchmarks.md"},
		"no runs":           {Args: []string{"--runs=0"}, Code: cli.ExitUsage, Stderr: "inference: --runs: found 0, expected 1 or more (see --help)\n"},
		"short duration":    {Args: []string{"--duration=10ms"}, Code: cli.ExitUsage, Stderr: "inference: --duration: found 10ms, expected 1s or more (see --help)\n"},
		"negative duration": {Args: []string{"--duration=-1s"}, Code: cli.ExitUsage, Stderr: "inference: --duration: found -1s, expected 1s or more (see --help)\n"},
	})
}

func TestSteps_allTools(t *testing.T) {
	if floorFile == "" {
		t.Skip("the policies and the peers are among the runfiles of Bazel")
	}
	dir := t.TempDir()
	s := &suite{runs: 1, step: 20 * time.Millisecond, progress: t.Logf}
	var err error
	if s.files, err = findFiles(dir); err != nil {
		t.Fatal(err)
	}
	s.python, s.pythonFails = newPython(t.Context(), dir, s.files)
	runtime, err := onnx.Open(s.files.library)
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	var r latency.Report
	if err := s.steps(t.Context(), &r, runtime); err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 16 {
		t.Errorf("%d rows, want 4 tools for each of 4 graphs", len(r.Rows))
	}
	for _, row := range r.Rows {
		ours := row.Tool == krabbyName
		if len(row.Samples) == 0 {
			if ours || row.Tool == floorName || s.pythonFails == nil {
				t.Errorf("%s, %s: no samples (%s)", row.Operation, row.Tool, row.Note)
			}
			continue
		}
		// Go's runtime allocates occasionally.
		if a := row.Samples[0].Allocations; (a != nil) != ours || ours && *a*float64(len(row.Samples[0].Took)) > 20 {
			t.Errorf("%s, %s: %v allocations per step, want about 0 for krabby and unknown for peers", row.Operation, row.Tool, a)
		}
	}
}

func TestObservations_sameBitsNoAllocations(t *testing.T) {
	p := policytest.Joystick(robot.Go1())
	builder, err := observation.New(p)
	if err != nil {
		t.Fatal(err)
	}
	hand := byHand{p.DefaultPoseRad, p.JointMap(), 12}
	if err := sameObservation(hand.build, builder.Build, p); err != nil {
		t.Error(err)
	}
	slices.Reverse(p.JointOrder) // Another order than the robot's.
	permuted, err := observation.New(p)
	if err != nil {
		t.Fatal(err)
	}
	hand.joints = p.JointMap()
	if err := sameObservation(hand.build, permuted.Build, p); err != nil {
		t.Error(err)
	}
	other := byHand{make([]float64, 12), p.JointMap(), 12}
	if err := sameObservation(other.build, builder.Build, p); err == nil {
		t.Error("observations with another default pose are equal")
	}
	s, err := measureBuild(t.Context(), p, builder.Build, 20*time.Millisecond)
	if err != nil || len(s.Took) == 0 || *s.Allocations > 0.01 {
		t.Errorf("%d samples with %v allocations, error %v; want samples without allocations", len(s.Took), *s.Allocations, err)
	}
}

func TestCheckSame(t *testing.T) {
	expected := []float32{1, -200}
	for name, test := range map[string]struct {
		found []float32
		want  string
	}{
		"the same":     {[]float32{1, -200}, ""},
		"rounded":      {[]float32{1.000001, -200.001}, ""},
		"different":    {[]float32{1, -200.01}, "output 1 of the first step: found -200.01, expected -200"},
		"not a number": {[]float32{float32(math.NaN()), -200}, "output 0 of the first step: found NaN, expected 1"},
		"shorter":      {[]float32{1}, "outputs of the first step: found 1, expected 2"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkSame(test.found, expected)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
		})
	}
}

func TestGridWoke(t *testing.T) {
	const ms = time.Millisecond
	g := grid{period: 10 * ms, due: 1}
	for i, test := range []struct {
		elapsed, late time.Duration
		missed        int
		ok            bool
	}{
		{10 * ms, 0, 0, true},
		{20*ms + 7, 7, 0, true},
		{55 * ms, 25 * ms, 2, true}, // The deadline at 30; those at 40 and 50 have passed.
		{55*ms + 1, 0, 0, false},    // A loop that catches up.
		{61 * ms, 1 * ms, 0, true},
	} {
		if late, missed, ok := g.woke(test.elapsed); late != test.late || missed != test.missed || ok != test.ok {
			t.Errorf("wake-up %d: %v late with %d missed, %v, want %v, %d and %v", i, late, missed, ok, test.late, test.missed, test.ok)
		}
	}
}

func TestLoops_deadlinesMetOrMissed(t *testing.T) {
	stop, err := burners(1)
	if err != nil {
		t.Fatal(err)
	}
	for name, loop := range map[string]func(context.Context, time.Duration, time.Duration) (latency.Sample, error){"paced": paced, "ticked": ticked} {
		t.Run(name, func(t *testing.T) {
			s, err := loop(t.Context(), 10*time.Millisecond, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(s.Took) + s.Lost; n < 20 {
				t.Errorf("%d met and %d missed, want 20 or more in all", len(s.Took), s.Lost)
			}
			if s.Allocations == nil {
				t.Error("allocations were not counted")
			}
		})
	}
	if err := stop(); err != nil {
		t.Errorf("ending the busy process: %v", err)
	}
}

func TestLoops_contextDone(t *testing.T) {
	for name, loop := range map[string]func(context.Context, time.Duration, time.Duration) (latency.Sample, error){"paced": paced, "ticked": ticked} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := loop(ctx, time.Hour, 2*time.Hour); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want the context's", err)
			}
		})
	}
}

func TestBurners_stop(t *testing.T) {
	stop, err := burners(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Errorf("stopping: %v, want none", err)
	}
}
