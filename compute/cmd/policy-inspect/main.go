// Command policy-inspect checks the folder of a policy as programs do that load it, and prints what it is. It runs
// nothing of it. Exit codes: 0 where the policy is good, 1 where it is not, 2 for usage.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph"
	"krabby.dev/krabby/hal/cmdline"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var cli struct {
		Dir  string `arg:"" help:"Folder of the policy, with its manifest.json."`
		JSON bool   `name:"json" help:"Print JSON."`
	}
	program := cmdline.Program{Name: "policy-inspect", Description: "Checks the folder of a policy and prints what it is."}
	fail := func(code int, err error) int { return program.Fail(stderr, code, err) }
	helped, err := program.Parse(&cli, args, stdout)
	if err != nil {
		return fail(cmdline.ExitUsage, err)
	}
	if helped {
		return cmdline.ExitOK
	}
	p, err := policy.Load(cmdline.Locate(cli.Dir))
	if err != nil {
		return fail(cmdline.ExitFailed, err)
	}
	print := text
	if cli.JSON {
		print = asJSON
	}
	if err := print(stdout, p); err != nil {
		return fail(cmdline.ExitFailed, fmt.Errorf("writing: %w", err))
	}
	return cmdline.ExitOK
}

// asJSON prints the manifest, as version 2 has it whatever it was, and what each model declares.
func asJSON(w io.Writer, p *policy.Policy) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Manifest policy.Manifest         `json:"manifest"`
		Models   map[string]*graph.Model `json:"models"`
	}{p.Manifest, p.Declared})
}

func text(w io.Writer, p *policy.Policy) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("policy", "%s (schema version %d)", p.Name, p.SchemaVersion)
	row("robot", "%s, %d of %d joints", p.Robot.Name, len(p.JointOrder), len(p.Robot.Joints))
	row("observation", "%s version %d, %d values", p.Observation.Kind, p.Observation.Version, p.Observation.Size)
	row("rate", "%v Hz", p.ControlRateHz)
	clip := "not clipped"
	if p.ActionClip > 0 {
		clip = fmt.Sprintf("clipped to ±%v", p.ActionClip)
	}
	row("action", "default pose + %v rad * action, %s", p.ActionScale, clip)
	row("source", "%s", strings.Join(strings.Fields(strings.Join([]string{p.Provenance.Source, p.Provenance.Path, p.Provenance.License}, " ")), " "))
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		row("file", "%s sha256 %s", name, p.Files[name])
	}
	if err := t.Flush(); err != nil {
		return err
	}

	fmt.Fprintf(t, "\njoint\tindex on the robot\tdefault (rad)\n")
	for i, at := range p.Joints() {
		fmt.Fprintf(t, "%s\t%d\t%v\n", p.JointOrder[i], at, p.DefaultPoseRad[i])
	}
	for at, joint := range p.Robot.Joints {
		if positionRad, ok := p.OtherJointsRad[joint.Name]; ok {
			fmt.Fprintf(t, "%s\t%d\theld at %v\n", joint.Name, at, positionRad)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}

	for _, name := range slices.Sorted(maps.Keys(p.Graphs)) {
		g, model := p.Graphs[name], p.Declared[name]
		fmt.Fprintf(t, "\ngraph %s\t%s, %d parameters, %s, ai.onnx %d\n", name, g.File, model.Parameters, every(g), model.Opsets["ai.onnx"])
		for _, input := range g.Inputs {
			fmt.Fprintf(t, "  input\t%s %v\n", input.Name, input.Shape)
		}
		for _, output := range g.Outputs {
			fmt.Fprintf(t, "  output\t%s %v\n", output.Name, output.Shape)
		}
		for _, s := range g.States {
			fmt.Fprintf(t, "  state\t%s becomes %s\n", s.Output, s.Input)
		}
		fmt.Fprintf(t, "  operators\t%s\n", model.OperatorNames())
	}
	return t.Flush()
}

func every(g policy.Graph) string {
	if g.EverySteps > 1 {
		return fmt.Sprintf("in each %dth step", g.EverySteps)
	}
	return "in each step"
}
