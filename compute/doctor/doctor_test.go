package doctor_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout"
)

// examine examines r, with the default noise unless opts has another.
func examine(t *testing.T, p *policy.Policy, r *rollout.Rollout, opts doctor.Options) *doctor.Report {
	t.Helper()
	if opts.Noise == 0 {
		opts.Noise = -1
	}
	report, err := doctor.Examine(p, r, opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// describe returns what a failed test prints of a report.
func describe(r *doctor.Report) string {
	var b strings.Builder
	b.WriteString(string(r.Verdict))
	for _, f := range r.Findings {
		b.WriteString("\n  " + string(f.Kind) + ": " + f.Summary)
		for _, a := range f.Alternatives {
			b.WriteString("\n    or " + string(a.Kind) + ": " + a.Summary)
		}
	}
	b.WriteString("\n  unexplained: " + strings.Join(r.Unexplained, ", "))
	for _, e := range r.Elements[:min(5, len(r.Elements))] {
		b.WriteString("\n  " + e.Name)
	}
	return b.String()
}

func TestExamine_correct(t *testing.T) {
	for name, p := range policies(t) {
		for _, sway := range []float64{1, 0} {
			r := examine(t, p, record(t, p, motion{sway: sway}), doctor.Options{})
			if r.Verdict != doctor.Correct || len(r.Findings)+len(r.Unexplained) > 0 {
				t.Errorf("%s, sway %v: %s", name, sway, describe(r))
			}
			if stationary := slices.Contains(r.Stationary, "joint velocity"); stationary != (sway == 0) {
				t.Errorf("%s, sway %v: stationary = %q", name, sway, r.Stationary)
			}
		}
	}
}

func TestExamine_noise(t *testing.T) {
	p := joystickPolicy()
	for _, test := range []struct {
		name    string
		noise   float64
		allowed float64
		want    doctor.Verdict
	}{
		{"little noise", 0.02, -1, doctor.Noisy},
		{"much noise", 0.3, -1, doctor.Differs},
		{"much allowed noise", 0.3, 0.5, doctor.Noisy},
	} {
		for _, sway := range []float64{1, 0} {
			report := examine(t, p, record(t, p, motion{sway, test.noise}), doctor.Options{Noise: test.allowed})
			if report.Verdict != test.want || len(report.Findings) > 0 || report.WhiteResidual != (test.want == doctor.Differs) {
				t.Errorf("%s, sway %v: %s; want %s and no finding", test.name, sway, describe(report), test.want)
			}
		}
	}
}

func TestExamine_driftIsNotNoise(t *testing.T) {
	p := joystickPolicy()
	r := record(t, p, motion{sway: 1})
	for t := range r.Steps() {
		r.Observation.Row(t)[7] += float32(math.Sin(float64(t*t) / 3000))
	}
	if report := examine(t, p, r, doctor.Options{}); report.WhiteResidual || !slices.Equal(report.Unexplained, []string{"gravity"}) {
		t.Errorf("white residual: %v, %s", report.WhiteResidual, describe(report))
	}
}

// No sensor measures the last action, so it has no noise.
func TestExamine_noisyLastAction(t *testing.T) {
	p := joystickPolicy()
	r := record(t, p, motion{sway: 1})
	for t := range r.Steps() {
		r.Observation.Row(t)[35] += 0.01 * float32(t%7-3)
	}
	if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Differs || !slices.Equal(report.Unexplained, []string{"last action"}) {
		t.Error(describe(report))
	}
}

func TestExamine_float16Rounding(t *testing.T) {
	for name, p := range policies(t) {
		r := record(t, p, motion{sway: 1})
		for _, a := range []*rollout.Array{&r.PositionRad, &r.VelocityRadPerSec, &r.Orientation, &r.AngularVelocityRadPerSec, &r.Observation, &r.Action} {
			for i, v := range a.Values { // A float16 has 11 bits.
				mantissa, exponent := math.Frexp(float64(v))
				a.Values[i] = float32(math.Ldexp(math.Round(mantissa*2048)/2048, exponent))
			}
		}
		r.Rounding = 1.0 / 2048
		if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Correct {
			t.Errorf("%s: %s", name, describe(report))
		}
		if r.Rounding = 0; examine(t, p, r, doctor.Options{}).Verdict == doctor.Correct {
			t.Errorf("%s: differences of float16 count as equal in float32", name)
		}
	}
}

func TestExamine_unexplained(t *testing.T) {
	p := joystickPolicy()
	r := record(t, p, motion{sway: 1})
	random := rand.New(rand.NewPCG(3, 4))
	for t := range r.Steps() {
		r.Observation.Row(t)[25] = float32(random.NormFloat64())
	}
	report := examine(t, p, r, doctor.Options{})
	if report.Verdict != doctor.Differs || len(report.Findings) > 0 || !slices.Equal(report.Unexplained, []string{"joint velocity"}) {
		t.Error(describe(report))
	}
	if report.Elements[0].Index != 25 || report.Elements[0].Agrees || !report.Elements[1].Agrees {
		t.Errorf("elements = %+v, want 25 alone to differ", report.Elements[:2])
	}
}

func TestExamine_missingArrays(t *testing.T) {
	p := joystickPolicy()
	r := record(t, p, motion{sway: 1})
	r.BaseVelocityMps = rollout.Array{}
	report := examine(t, p, r, doctor.Options{})
	if report.Verdict != doctor.Correct || report.NotChecked["base velocity"] == "" || len(report.Elements) != 45 {
		t.Errorf("%d elements, not checked %v: %s", len(report.Elements), report.NotChecked, describe(report))
	}
	p = policytest.ParkourPolicy()
	r = record(t, p, motion{sway: 1})
	r.Contacts = rollout.Array{}
	report = examine(t, p, r, doctor.Options{})
	if report.Verdict != doctor.Correct || report.NotChecked["contact"] == "" || report.NotChecked["external"] == "" || len(report.Elements) != (53-4)*11-4 {
		t.Errorf("%d elements, not checked %v: %s", len(report.Elements), report.NotChecked, describe(report))
	}
}

// A rollout may begin within an episode: then the values before it are unknown, not 0.
func TestExamine_partialEpisode(t *testing.T) {
	for name, p := range policies(t) {
		r := record(t, p, motion{sway: 1})
		if report := examine(t, p, r.Slice(37, steps), doctor.Options{}); report.Verdict != doctor.Correct || report.Steps != steps-37 {
			t.Errorf("%s: %s", name, describe(report))
		}
		if report := examine(t, p, r, doctor.Options{Skip: 50, Steps: 100}); report.Verdict != doctor.Correct || report.Steps != 100 || report.Skipped != 50 {
			t.Errorf("%s, skipped: %s", name, describe(report))
		}
		for t := range 3 { // Wrong first steps, as after the reset of a simulator.
			r.Observation.Row(t)[len(r.Observation.Row(t))-9] = 7
		}
		if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Differs {
			t.Errorf("%s, wrong at the start: %s", name, describe(report))
		}
		if report := examine(t, p, r, doctor.Options{Skip: 3}); report.Verdict != doctor.Correct {
			t.Errorf("%s, without the start: %s", name, describe(report))
		}
	}
}

func TestExamine_jointsAndFeetByName(t *testing.T) {
	p := policytest.ParkourPolicy()
	r := record(t, p, motion{sway: 1})
	at := []int{7, 3, 0, 1, 11, 2, 5, 4, 10, 9, 6, 8}
	combined(inLog(position, reordered(at...)), inLog(velocity, reordered(at...)), inLog(contacts, reordered(2, 0, 3, 1)))(p, r)
	names := make([]string, len(at))
	for i, j := range at {
		names[i] = r.JointNames[j]
	}
	r.JointNames, r.FootNames = names, []string{"RL", "FL", "RR", "FR"}
	if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Correct {
		t.Error(describe(report))
	}
}

func TestExamine_mismatchedRollout(t *testing.T) {
	p := joystickPolicy()
	for name, test := range map[string]struct {
		change func(r *rollout.Rollout)
		opts   doctor.Options
		want   string
	}{
		"another observation": {func(r *rollout.Rollout) { r.Observation = rollout.NewArray(steps, 47) }, doctor.Options{}, "observation: found 47 values per step, expected 48 for the policy example"},
		"other actions":       {func(r *rollout.Rollout) { r.Action = rollout.NewArray(steps, 8) }, doctor.Options{}, "action: found 8 values per step, expected 12"},
		"other joints":        {func(r *rollout.Rollout) { r.JointNames = slices.Repeat([]string{"joint"}, 12) }, doctor.Options{}, `joint_names: joint "FR_hip_joint" of go1 not found in ["joint"`},
		"other feet":          {func(r *rollout.Rollout) { r.FootNames = []string{"a", "b", "c", "d"} }, doctor.Options{}, `contacts: foot "FR" of go1 not found`},
		"too few steps":       {func(r *rollout.Rollout) { *r = *r.Slice(0, 24) }, doctor.Options{}, "found 24 steps, 0 of them skipped, expected 25 or more"},
		"too much skipped":    {func(*rollout.Rollout) {}, doctor.Options{Skip: 190}, "found 200 steps, 190 of them skipped"},
	} {
		r := record(t, p, motion{sway: 1})
		test.change(r)
		if _, err := doctor.Examine(p, r, test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// Training loops reset the last action at the start of an episode, or do not.
func TestExamine_secondEpisode(t *testing.T) {
	p := joystickPolicy()
	for name, resets := range map[string]bool{"last action reset": true, "last action kept": false} {
		r := record(t, p, motion{sway: 1})
		r.EpisodeStart = make([]bool, r.Steps())
		r.EpisodeStart[0], r.EpisodeStart[100] = true, true
		if resets {
			clear(r.Observation.Row(100)[33:45])
		}
		if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Correct {
			t.Errorf("%s: %s", name, describe(report))
		}
		r.Observation.Row(100)[40] = 7
		if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Differs {
			t.Errorf("%s, wrong: %s", name, describe(report))
		}
	}
}
