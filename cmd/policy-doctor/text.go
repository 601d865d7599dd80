package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"krabby.dev/krabby/compute/doctor"
)

// maxShown is the largest number of values in the text.
const maxShown = 12

// writeJSON writes the report as JSON.
func writeJSON(w io.Writer, report *doctor.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(report)
}

// writeText writes the verdict, the values with the largest residuals, the findings and the limits.
func writeText(w io.Writer, r *doctor.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	different := 0
	for _, e := range r.Elements {
		if !e.Agrees {
			different++
		}
	}
	fmt.Fprintf(t, "%s\n\n", verdict(r))
	fmt.Fprintf(t, "policy\t%s (%s), observation %s\n", r.Policy, r.Robot, r.Observation)
	fmt.Fprintf(t, "gains\tkp %v N·m/rad, kd %v N·m·s/rad\n", r.PolicyGains.Kp, r.PolicyGains.Kd)
	fmt.Fprintf(t, "rollout\t%d steps at %.4g Hz, after %d skipped; the policy's rate is %v Hz\n", r.Steps, r.RateHz, r.Skipped, r.PolicyRateHz)
	fmt.Fprintf(t, "values\t%d of %d agree\n", len(r.Elements)-different, len(r.Elements))
	if r.Action != nil {
		fmt.Fprintf(t, "action\t%s\n", describeAction(r.Action))
	}
	if err := t.Flush(); err != nil {
		return err
	}

	fmt.Fprintf(t, "\nvalue\t\tunit\tmax difference\tRMS\tof spread\tRMS after\n")
	shown := min(max(different, 3), maxShown, len(r.Elements))
	for _, e := range r.Elements[:shown] {
		fmt.Fprintf(t, "%d\t%s\t%s\t%.3g\t%.3g\t%s\t%.3g\n", e.Index, e.Name, e.Unit, e.MaxAbs, e.RMS, percent(e.Relative), e.RMSAfter)
	}
	if rest := len(r.Elements) - shown; rest > 0 {
		fmt.Fprintf(t, "and %d more with smaller differences\n", rest)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, finding := range r.Findings {
		fmt.Fprintf(w, "\n%d. ", i+1)
		writeFinding(w, finding)
	}
	return writeLimits(w, r)
}

// verdict returns the first line.
func verdict(r *doctor.Report) string {
	switch n := len(r.Findings); {
	case n == 1 && r.Findings[0].Ambiguous:
		return fmt.Sprintf("%s: %d explanations fit", r.Verdict, 1+len(r.Findings[0].Alternatives))
	case n == 1:
		return fmt.Sprintf("%s: %s", r.Verdict, r.Findings[0].Summary)
	case n > 1:
		return fmt.Sprintf("%s: %d findings", r.Verdict, n)
	case r.Verdict == doctor.Differs && len(r.Unexplained) > 0:
		return fmt.Sprintf("%s: no tested hypothesis explains it", r.Verdict)
	case r.Verdict == doctor.Differs:
		return fmt.Sprintf("%s: the observations agree, the actions do not", r.Verdict)
	}
	return string(r.Verdict)
}

// writeFinding writes the explanation of a finding, or all explanations of an ambiguous one.
func writeFinding(w io.Writer, f doctor.Finding) {
	if f.Ambiguous {
		fmt.Fprintln(w, "these explanations fit equally well:")
	}
	for i, x := range append([]doctor.Explanation{f.Explanation}, f.Alternatives...) {
		indent := "   "
		if f.Ambiguous {
			fmt.Fprintf(w, "   %c) ", 'a'+i)
			indent = "      "
		}
		fmt.Fprintf(w, "%s: %s\n%sfix: %s\n", x.Kind, x.Summary, indent, x.Fix)
		if len(x.Quantities) != 1 || x.Quantities[0] != "time" && x.Quantities[0] != "gains" {
			fmt.Fprintf(w, "%sresidual of %s: %s of the spread before, %s after\n", indent, strings.Join(x.Quantities, ", "),
				percent(x.ResidualBefore), percent(x.ResidualAfter))
		}
	}
}

// writeLimits writes the unexplained quantities, the limits of the rollout and the omitted checks.
func writeLimits(w io.Writer, r *doctor.Report) error {
	var lines []string
	if len(r.Unexplained) > 0 {
		lines = append(lines, "unexplained: "+strings.Join(r.Unexplained, ", "))
	}
	if r.WhiteResidual {
		lines = append(lines, "the residual resembles white noise: if training adds noise, record without it, or allow it with --noise")
	}
	if len(r.Stationary) > 0 {
		lines = append(lines, "stationary, so a wrong order, sign, frame or delay would not show: "+strings.Join(r.Stationary, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(r.NotChecked)) {
		lines = append(lines, fmt.Sprintf("not checked: %s: %s", name, r.NotChecked[name]))
	}
	if len(lines) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(lines, "\n"))
	return err
}

// describeAction returns the line about the actions.
func describeAction(a *doctor.Action) string {
	s := "the recorded actions match the policy's output for the recorded observations"
	if !a.Agrees {
		s = fmt.Sprintf("the recorded actions differ from the policy's output by %.3g RMS, %.3g at most", a.RMS, a.MaxAbs)
		if a.Explanation != "" {
			s += "; " + a.Explanation
		}
	}
	if a.EffectMaxRad > 1e-4 {
		s += fmt.Sprintf("; for the rebuilt observations, the joint targets differ by %.3g rad RMS, %.3g rad at most", a.EffectRMSRad, a.EffectMaxRad)
	}
	return s
}

// percent formats a fraction.
func percent(v float64) string {
	switch v *= 100; {
	case v < 0.01:
		return "0 %"
	case v < 10:
		return fmt.Sprintf("%.2g %%", v)
	}
	return fmt.Sprintf("%.0f %%", math.Round(v))
}
