// Command policy-inspect verifies a policy directory, as programs do before they run the policy, and prints its contents. It
// runs no model. Exit codes: 0 if the policy is valid, 1 if it is not, 2 for an invalid command line.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"krabby.dev/krabby/cmd/internal/policyflag"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph"
	"krabby.dev/krabby/internal/cli"
)

func main() { program().Main() }

// flags is the command line.
type flags struct {
	Dir    string `arg:"" help:"Policy directory, with its manifest.json."`
	Robot  string `placeholder:"NAME" help:"Robot of the policy: a name, or a robot file, whose path contains . or /; the default is the built-in robot that the policy names."`
	Limits string `placeholder:"NAME" help:"Narrower limits of the robot's joints: built-in ones (sdk for go1: the manufacturer's), or a limits file, whose path contains . or /."`
	Output string `placeholder:"FILE" help:"Write to a file instead of standard output. It is written only if the policy is valid."`
	JSON   bool   `name:"json" help:"Print JSON: the manifest, in the newest schema, and the metadata of each model."`
}

func program() cli.Program {
	return cli.Program{Name: "policy-inspect", Description: "Verifies a policy directory and prints its contents.", Flags: &flags{}}
}

// Run verifies the policy and prints it.
func (f *flags) Run(console *cli.Console) error {
	p, err := policyflag.Load(f.Dir, f.Robot, f.Limits)
	if err != nil {
		return err
	}
	write := writeText
	if f.JSON {
		write = writeJSON
	}
	if f.Output == "" {
		if err := write(console.Out, p); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		return nil
	}
	var b bytes.Buffer
	if err := write(&b, p); err != nil {
		return err
	}
	if err := os.WriteFile(f.Output, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

// writeJSON writes the manifest, in the form of the newest schema, and the metadata of each model by the name of its graph.
func writeJSON(w io.Writer, p *policy.Policy) error {
	m := p.Manifest
	m.SchemaVersion = policy.SchemaVersion
	rejects := map[string]string{}
	for name, m := range p.Metadata {
		rejects[name] = m.RuntimeRejects()
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Manifest policy.Manifest            `json:"manifest"`
		Models   map[string]*graph.Metadata `json:"models"`
		Runtime  string                     `json:"runtime"`
		Rejects  map[string]string          `json:"runtime_rejects"` // Empty text for a model that it takes.
	}{m, p.Metadata, graph.PinnedRuntime, rejects})
}

// writeText writes tables of the manifest, of the joints, of the observation and of each graph.
func writeText(w io.Writer, p *policy.Policy) error {
	for _, write := range []func(io.Writer, *policy.Policy){writeManifest, writeJoints, writeTerms, writeGraphs} {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		write(t, p)
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func writeManifest(w io.Writer, p *policy.Policy) {
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("policy", "%s (schema version %d)", p.Name, p.SchemaVersion)
	row("robot", "%s, %d of %d joints", p.Robot.Name, len(p.JointOrder), len(p.Robot.Joints))
	row("observation", "%s", p.Observation.String())
	row("rate", "%v Hz", p.ControlRateHz)
	row("action", "%s", action(&p.Action))
	for _, r := range []struct {
		name  string
		value *policy.Range
		unit  string
	}{
		{"forward", p.CommandRanges.VxMps, "m/s"}, {"left", p.CommandRanges.VyMps, "m/s"}, {"yaw rate", p.CommandRanges.YawRateRadPerSec, "rad/s"},
	} {
		if r.value != nil {
			row("command", "%s %v to %v %s", r.name, r.value[0], r.value[1], r.unit)
		}
	}
	if u := p.IMU; u != nil {
		row("IMU", "quaternions in %s, turned by %v, at %v m", u.QuaternionOrder, []float64(u.Orientation), []float64(u.PositionM))
	}
	row("source", "%s", strings.Join(strings.Fields(strings.Join([]string{p.Provenance.Source, p.Provenance.Path, p.Provenance.License}, " ")), " "))
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		row("file", "%s sha256 %s", name, p.Files[name])
	}
}

// action describes how an action becomes a target.
func action(a *policy.Action) string {
	offset := "default pose"
	if len(a.OffsetRad) > 0 {
		offset = a.OffsetRad.String() + " rad"
	}
	text := fmt.Sprintf("%s + %s rad * action", offset, a.Scale)
	if len(a.Clip) > 0 {
		text += ", action clipped to " + a.Clip.String()
	} else {
		text += ", action not clipped"
	}
	if len(a.TargetClipRad) > 0 {
		text += ", target clipped to " + a.TargetClipRad.String() + " rad"
	}
	if a.Smoothing > 0 {
		text += fmt.Sprintf(", smoothed with weight %v", a.Smoothing)
	}
	if a.DelaySteps > 0 {
		text += fmt.Sprintf(", delayed by %d steps", a.DelaySteps)
	}
	return text
}

func writeJoints(w io.Writer, p *policy.Policy) {
	kp, kd := p.RobotGains()
	fmt.Fprintf(w, "\njoint\trobot index\tdefault (rad)\tkp (N·m/rad)\tkd (N·m·s/rad)\n")
	for i, joint := range p.JointMap() {
		fmt.Fprintf(w, "%s\t%d\t%v\t%v\t%v\n", p.JointOrder[i], joint, p.DefaultPoseRad[i], kp[joint], kd[joint])
	}
	for i, joint := range p.Robot.Joints {
		if positionRad, held := p.HeldJointsRad[joint.Name]; held {
			fmt.Fprintf(w, "%s\t%d\theld at %v\t%v\t%v\n", joint.Name, i, positionRad, kp[i], kd[i])
		}
	}
}

// writeTerms writes the terms of the observation, with their places in a step.
func writeTerms(w io.Writer, p *policy.Policy) {
	fmt.Fprintf(w, "\nterm\tat\tvalues\tclip\tscale\toffset\n")
	for i, span := range p.ObservationLayout().Terms {
		t := &p.Observation.Terms[i]
		clip, scale, offset := "-", "1", "0"
		if len(t.Clip) > 0 {
			clip = t.Clip.String()
		}
		if len(t.Scale) > 0 {
			scale = t.Scale.String()
		}
		if len(t.Offset) > 0 {
			offset = t.Offset.String()
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\n", strings.TrimSpace(t.Term+" "+t.Name), span.At, span.Size, clip, scale, offset)
	}
	if h := p.Observation.History; h != nil {
		fmt.Fprintf(w, "history of %d steps, by %s, %s, starts with %s, pushed %s use\n", h.Steps, h.Layout, strings.ReplaceAll(h.Order, "_", " "), h.Start, h.Push)
	}
}

func writeGraphs(w io.Writer, p *policy.Policy) {
	for _, name := range slices.Sorted(maps.Keys(p.Graphs)) {
		g, m := p.Graphs[name], p.Metadata[name]
		fmt.Fprintf(w, "\ngraph %s\t%s, %d parameters, %s\n", name, g.File, m.Parameters, interval(g))
		fmt.Fprintf(w, "  format\t%s: %s\n", m.Format(), verdict(m))
		for _, input := range g.Inputs {
			fmt.Fprintf(w, "  input\t%s %v\n", input.Name, input.Shape)
		}
		for _, output := range g.Outputs {
			fmt.Fprintf(w, "  output\t%s %v\n", output.Name, output.Shape)
		}
		for _, s := range g.States {
			fmt.Fprintf(w, "  state\t%s -> %s\n", s.Output, s.Input)
		}
		fmt.Fprintf(w, "  operators\t%s\n", m.OperatorCounts())
		for _, key := range slices.Sorted(maps.Keys(m.Properties)) {
			compared := "not compared"
			if name == policy.PolicyGraph && slices.Contains(policy.ComparedProperties, key) {
				compared = "agrees"
			}
			fmt.Fprintf(w, "  metadata %s\t%s (%s)\n", key, m.Properties[key], compared)
		}
	}
}

// verdict says whether the pinned runtime takes the format of a model.
func verdict(m *graph.Metadata) string {
	if reasons := m.RuntimeRejects(); reasons != "" {
		return "the pinned ONNX Runtime " + graph.PinnedRuntime + " rejects it: " + reasons
	}
	return "ONNX Runtime " + graph.PinnedRuntime + ", which is pinned, takes it"
}

// interval describes how often a graph runs.
func interval(g policy.Graph) string {
	if g.EverySteps > 1 {
		return fmt.Sprintf("every %d steps", g.EverySteps)
	}
	return "every step"
}
