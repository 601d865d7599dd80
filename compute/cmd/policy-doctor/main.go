// Command policy-doctor compares the observations of a recorded rollout with those that this repository builds of the same
// sensors for the same policy, value by value, and where they differ says what explains it.
//
// Exit codes: 0 where they agree, but for noise perhaps; 1 where they differ; 2 where there is no verdict: for usage, and for
// a policy or a rollout that cannot be read or that do not belong together.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/doctor/plot"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout/npz"
	"krabby.dev/krabby/hal/cmdline"
)

const (
	exitAgrees  = cmdline.ExitOK
	exitDiffers = cmdline.ExitFailed
	exitUsage   = cmdline.ExitUsage

	// shownSlots is how many slots the text lists at most.
	shownSlots = 12
)

// flags is the command line.
type flags struct {
	Policy      string  `arg:"" help:"Folder of the policy, with its manifest.json."`
	Rollout     string  `arg:"" help:"Recorded rollout, .npz; docs/doctor.md has the format."`
	Skip        int     `default:"0" placeholder:"N" help:"Leave out the first N steps of the rollout."`
	Steps       int     `default:"3000" placeholder:"N" help:"Look at N steps at most."`
	Noise       float64 `default:"0.05" placeholder:"FRACTION" help:"Take a difference of a sensor's value for noise if nothing explains it and its RMS is at most this part of the value's spread."`
	JSON        bool    `name:"json" help:"Print JSON."`
	Plot        string  `placeholder:"FILE" help:"Draw the worst values, recorded, rebuilt and corrected, into this SVG file."`
	ONNXRuntime string  `name:"onnxruntime" env:"KRABBY_ONNXRUNTIME" placeholder:"FILE" help:"ONNX Runtime library, to compare the recorded actions with the policy's answers too; left out, they are not."`
}

// Validate checks what the types of the flags do not.
func (f *flags) Validate() error {
	if f.Skip < 0 {
		return fmt.Errorf("--skip: found %d, expected 0 or more", f.Skip)
	}
	if f.Steps < doctor.MinSteps {
		return fmt.Errorf("--steps: found %d, expected %d or more", f.Steps, doctor.MinSteps)
	}
	if !(f.Noise >= 0 && f.Noise <= 1) {
		return fmt.Errorf("--noise: found %v, expected 0 to 1", f.Noise)
	}
	return nil
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	program := cmdline.Program{
		Name:        "policy-doctor",
		Description: "Says whether recorded observations are those that this repository builds for the policy, and if not, why not. Exit code: 0 they agree, 1 they differ, 2 no verdict.",
	}
	fail := func(err error) int { return program.Fail(stderr, exitUsage, err) }
	var f flags
	helped, err := program.Parse(&f, args, stdout)
	if err != nil {
		return fail(err)
	}
	if helped {
		return exitAgrees
	}
	report, err := examine(f)
	if err != nil {
		return fail(err)
	}
	if f.Plot != "" {
		if err := draw(cmdline.FromCaller(f.Plot), report); err != nil {
			return fail(err)
		}
	}
	print := text
	if f.JSON {
		print = asJSON
	}
	if err := print(stdout, report); err != nil {
		return fail(fmt.Errorf("writing: %w", err))
	}
	if report.Verdict == doctor.Differs {
		return exitDiffers
	}
	return exitAgrees
}

func examine(f flags) (_ *doctor.Report, err error) {
	p, err := policy.Load(cmdline.Locate(f.Policy))
	if err != nil {
		return nil, err
	}
	path := cmdline.Locate(f.Rollout)
	r, err := npz.Read(path)
	if err != nil {
		return nil, err
	}
	opts := doctor.Options{Skip: f.Skip, Steps: f.Steps, Noise: f.Noise}
	why := "no ONNX Runtime library is named, see --onnxruntime"
	switch inputs := p.Graphs[policy.PolicyGraph].Inputs; {
	case len(inputs) > 1:
		why = fmt.Sprintf("the policy has an input %s, which the rollout does not", inputs[1].Name)
	case f.ONNXRuntime != "":
		runtime, err := onnx.Open(cmdline.Locate(f.ONNXRuntime))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, runtime.Close()) }()
		session, err := runtime.NewSession(p)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, session.Close()) }()
		opts.Model = session
	}
	report, err := doctor.Examine(p, r, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if report.Action == nil {
		report.NotChecked["action"] = why
	}
	return report, nil
}

// draw writes the plot.
func draw(path string, report *doctor.Report) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the plot: %w", err)
	}
	if err := errors.Join(plot.WriteSVG(file, report), file.Close()); err != nil {
		return fmt.Errorf("writing the plot: %w", err)
	}
	return nil
}

func asJSON(w io.Writer, report *doctor.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(report)
}

// text prints the verdict, the worst values and what explains them.
func text(w io.Writer, r *doctor.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	verdict := r.Verdict
	switch n := len(r.Findings); {
	case n == 1 && r.Findings[0].Ambiguous:
		verdict += fmt.Sprintf(": one of %d things explains it", 1+len(r.Findings[0].Alternatives))
	case n == 1:
		verdict += ": " + r.Findings[0].Says
	case n > 1:
		verdict += fmt.Sprintf(" in %d ways", n)
	case r.Verdict == doctor.Differs && len(r.Unexplained) > 0:
		verdict += ", and nothing that is tried explains it"
	case r.Verdict == doctor.Differs:
		verdict += ": not the observations, but the actions"
	}
	fmt.Fprintf(t, "%s\n\n", verdict)
	fmt.Fprintf(t, "policy\t%s (%s), observation %s\n", r.Policy, r.Robot, r.Observation)
	fmt.Fprintf(t, "rollout\t%d steps at %.4g Hz, after %d skipped; the policy's rate is %v Hz\n", r.Steps, r.RateHz, r.Skipped, r.PolicyRateHz)
	disagree := 0
	for _, s := range r.Slots {
		if !s.Agrees {
			disagree++
		}
	}
	fmt.Fprintf(t, "values\t%d of %d agree\n", len(r.Slots)-disagree, len(r.Slots))
	if a := r.Action; a != nil {
		fmt.Fprintf(t, "action\t%s\n", action(a))
	}
	if err := t.Flush(); err != nil {
		return err
	}

	fmt.Fprintf(t, "\nvalue\t\tunit\tmax difference\tRMS\tof spread\tRMS after\n")
	shown := min(max(disagree, 3), shownSlots, len(r.Slots))
	for _, s := range r.Slots[:shown] {
		fmt.Fprintf(t, "%d\t%s\t%s\t%.3g\t%.3g\t%s\t%.3g\n", s.Index, s.Name, s.Unit, s.MaxAbs, s.RMS, percent(s.Relative), s.RMSAfter)
	}
	if rest := len(r.Slots) - shown; rest > 0 {
		fmt.Fprintf(t, "and %d more, that differ less\n", rest)
	}
	if err := t.Flush(); err != nil {
		return err
	}

	for i, finding := range r.Findings {
		fmt.Fprintf(w, "\n%d. ", i+1)
		if finding.Ambiguous {
			fmt.Fprintln(w, "In this rollout these cannot be told apart:")
		}
		for j, x := range append([]doctor.Explanation{finding.Explanation}, finding.Alternatives...) {
			indent := "   "
			if finding.Ambiguous {
				fmt.Fprintf(w, "   %c) ", 'a'+j)
				indent = "      "
			}
			fmt.Fprintf(w, "%s: %s\n%sto do: %s\n", x.Kind, x.Says, indent, x.Fix)
			if !slices.Equal(x.Quantities, []string{"time"}) {
				fmt.Fprintf(w, "%sdifference of %s: %s of the spread before, %s after\n", indent, strings.Join(x.Quantities, ", "), percent(x.Before), percent(x.After))
			}
		}
	}
	if len(r.Unexplained)+len(r.Still)+len(r.NotChecked) > 0 {
		fmt.Fprintln(w)
	}
	if len(r.Unexplained) > 0 {
		fmt.Fprintf(w, "not explained: %s\n", strings.Join(r.Unexplained, ", "))
		if r.LooksLikeNoise {
			fmt.Fprintln(w, "what is left has no mean and does not depend on the step before, as noise: if training adds it, record without, or allow it with --noise")
		}
	}
	if len(r.Still) > 0 {
		fmt.Fprintf(w, "hardly moved, so that a wrong order, sign, frame or delay would not show: %s\n", strings.Join(r.Still, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(r.NotChecked)) {
		fmt.Fprintf(w, "not checked: %s: %s\n", name, r.NotChecked[name])
	}
	return nil
}

func action(a *doctor.Action) string {
	s := "the recorded actions are the policy's answers to the recorded observations"
	if !a.Agrees {
		s = fmt.Sprintf("the recorded actions are not the policy's answers: %.3g RMS, %.3g at most", a.RMS, a.MaxAbs)
		if a.Says != "" {
			s += "; " + a.Says
		}
	}
	if a.EffectMaxRad > 1e-4 {
		s += fmt.Sprintf("; to the rebuilt ones it answers with targets that are %.3g rad RMS, %.3g rad at most from those", a.EffectRMSRad, a.EffectMaxRad)
	}
	return s
}

// percent prints a fraction of 1.
func percent(v float64) string {
	switch v *= 100; {
	case v < 0.01:
		return "0 %"
	case v < 10:
		return fmt.Sprintf("%.2g %%", v)
	}
	return fmt.Sprintf("%.0f %%", math.Round(v))
}
