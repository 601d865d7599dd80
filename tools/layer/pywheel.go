package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"krabby.dev/krabby/tools/layer/wheel"
)

type wheelCmd struct {
	Params string `required:"" placeholder:"FILE" help:"JSON parameters of the wheel."`
	Output string `required:"" placeholder:"FILE" help:"Wheel to write."`
}

// wheelParams are the parameters of a wheel, as wheel.bzl writes them.
type wheelParams struct {
	Label          string   `json:"label"`
	Project        string   `json:"project"`
	Version        string   `json:"version"`
	Summary        string   `json:"summary"`
	License        string   `json:"license"`
	RequiresPython string   `json:"requires_python"`
	Requires       []string `json:"requires"`
	Files          []struct {
		Path string `json:"path"`
		Name string `json:"name"` // In the wheel.
	} `json:"files"`
}

// Run writes the wheel. Errors begin with the label of the target.
func (c *wheelCmd) Run() error {
	var p wheelParams
	if err := readJSON(c.Params, &p); err != nil {
		return err
	}
	if err := p.write(c.Output); err != nil {
		return fmt.Errorf("%s: %w", p.Label, err)
	}
	return nil
}

func (p *wheelParams) write(output string) error {
	spec := wheel.Spec{
		Project: p.Project, Version: p.Version, Summary: p.Summary, License: p.License,
		RequiresPython: p.RequiresPython, RequiresDist: p.Requires,
	}
	if name := filepath.Base(output); name != spec.Filename() {
		return fmt.Errorf("output: found the name %s, expected %s, which installers read", name, spec.Filename())
	}
	var files []wheel.SourceFile
	for _, f := range p.Files {
		content, err := os.ReadFile(f.Path)
		if err != nil {
			return err
		}
		files = append(files, wheel.SourceFile{Name: f.Name, Content: content})
	}
	out, err := os.Create(output)
	if err != nil {
		return err
	}
	if err := errors.Join(wheel.Write(out, spec, files), out.Close()); err != nil {
		return errors.Join(err, os.Remove(output))
	}
	return nil
}
