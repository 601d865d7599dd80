package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bazelbuild/rules_go/go/runfiles"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"krabby.dev/krabby/tools/bench/measure"
)

// suite measures each operation with each tool, on the same layers.
type suite struct {
	runs     int
	tests    bool // Measure tests against the baseline.
	coldRuns int  // Number of cold builds against the baseline.
	scratch  string
	progress func(string, ...any)

	checkout     *checkout
	image        *assembly
	baseline     *baseline // Nil without one.
	crane        string    // The program.
	buildah      *buildah
	buildahFails error // Not nil if buildah cannot run here.

	// Inputs of the image, set by prepare and edit.
	base         file     // An OCI layout.
	baseLayers   []string // Blobs of the base.
	architecture string
	original     []file   // Layers of the image.
	changed      [][]file // Layers of the image after the edit of each run.

	report *report
}

// Names of the tools.
const (
	krabbyName  = "krabby"
	buildahName = "buildah"
	craneName   = "crane"
)

// openCheckouts copies the workspace and the commit of the baseline, if there is one, to directories in work and builds the image there.
func (s *suite) openCheckouts(ctx context.Context, workspace, commit, work string) (err error) {
	dir := filepath.Join(work, "checkout")
	s.progress("copying the sources to %s", dir)
	if err := copySources(ctx, workspace, dir); err != nil {
		return fmt.Errorf("copying the sources: %w", err)
	}
	if s.checkout, err = openCheckout(ctx, dir, s.progress); err != nil {
		return err
	}
	if s.image, err = openAssembly(ctx, s.checkout); err != nil || commit == "" {
		return err
	}
	if s.baseline, err = openBaseline(ctx, workspace, commit, filepath.Join(work, "baseline"), s.progress); err != nil || !s.tests {
		return err
	}
	return errors.Join(s.baseline.findLeaf(), s.checkout.findLeaf())
}

// openPeers finds crane and unpacks buildah.
func (s *suite) openPeers(ctx context.Context) (err error) {
	if s.crane, err = runfiles.Rlocation(craneProgram); err != nil {
		return fmt.Errorf("finding crane: %w", err)
	}
	rootFS, err := runfiles.Rlocation(buildahRootFS)
	if err != nil {
		return fmt.Errorf("finding buildah: %w", err)
	}
	if s.buildah, err = newBuildah(ctx, rootFS, filepath.Join(s.scratch, "buildah")); err != nil {
		s.progress("buildah cannot run here: %v", err)
		s.buildahFails = err
	}
	return nil
}

// close closes the checkouts.
func (s *suite) close() error {
	var errs []error
	if s.baseline != nil {
		errs = append(errs, s.baseline.close())
	}
	if s.checkout != nil {
		errs = append(errs, s.checkout.close())
	}
	return errors.Join(errs...)
}

// measure measures all operations. With an error, the report has the operations before.
func (s *suite) measure(ctx context.Context) (*report, error) {
	s.report = &report{}
	if err := s.prepare(); err != nil {
		return s.report, err
	}
	defer func() { s.report.Header = s.header() }()
	for _, operation := range []func(context.Context) error{
		s.noOp, s.edit, s.cold, s.changedLayer, s.push, s.shallow, s.editOnBases, s.againstBaseline,
	} {
		if err := operation(ctx); err != nil {
			return s.report, err
		}
	}
	return s.report, nil
}

// prepare reads the base and copies the layers of the image.
func (s *suite) prepare() error {
	s.base = s.image.params.base()
	s.base.Path = filepath.Join(s.image.execRoot, s.base.Path)
	index, err := layout.ImageIndexFromPath(s.base.Path)
	if err != nil {
		return fmt.Errorf("reading the base: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("reading the base: %w", err)
	}
	if len(manifest.Manifests) != 1 {
		return fmt.Errorf("the base %s has %d images, expected 1", s.base.Label, len(manifest.Manifests))
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return fmt.Errorf("reading the base: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("reading the base: %w", err)
	}
	s.architecture = config.Architecture
	layers, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("reading the base: %w", err)
	}
	for _, layer := range layers.Layers {
		s.baseLayers = append(s.baseLayers, filepath.Join(s.base.Path, "blobs", layer.Digest.Algorithm, layer.Digest.Hex))
	}
	s.original, err = s.image.copyLayers(filepath.Join(s.scratch, "original"))
	return err
}

// tool is a tool in one operation, or in several that follow each other: run returns one outcome per operation.
type tool struct {
	name string
	run  func(i int) ([]outcome, error)
}

// compare measures operations s.runs times.
func (s *suite) compare(tools []tool, operations ...string) error {
	return s.compareRuns(s.runs, tools, operations...)
}

// compareRuns measures operations and adds their rows to the report. The tools alternate, so that other load on the machine affects
// all of them.
func (s *suite) compareRuns(runs int, tools []tool, operations ...string) error {
	rows := make([][]row, len(operations))
	for j, operation := range operations {
		for _, t := range tools {
			rows[j] = append(rows[j], row{Operation: operation, Tool: t.name})
		}
	}
	for i := range runs {
		for k, t := range tools {
			s.progress("%s: %s, run %d of %d", strings.Join(operations, ", "), t.name, i+1, runs)
			results, err := s.run(t, i)
			if skipped, ok := errors.AsType[skipError](err); ok {
				for j := range rows {
					rows[j][k].Note = skipped.reason
				}
				continue
			} else if err != nil {
				return fmt.Errorf("%s: %s: %w", operations[0], t.name, err)
			}
			for j := range rows {
				rows[j][k].Runs = append(rows[j][k].Runs, results[j])
			}
		}
	}
	s.report.Rows = append(s.report.Rows, slices.Concat(rows...)...)
	return nil
}

// skipError is the reason for which a tool skips an operation.
type skipError struct{ reason string }

func (e skipError) Error() string { return e.reason }

// run runs a tool once, unless it cannot run on this machine.
func (s *suite) run(t tool, i int) ([]outcome, error) {
	if t.name == buildahName && s.buildahFails != nil {
		return nil, skipError{"cannot run here: " + firstLine(s.buildahFails.Error())}
	}
	return t.run(i)
}

// single returns a tool for one operation.
func single(name string, run func(i int) (measure.Cost, error)) tool {
	return tool{name, func(i int) ([]outcome, error) {
		cost, err := run(i)
		return []outcome{result(cost)}, err
	}}
}

func firstLine(text string) string { line, _, _ := strings.Cut(text, "\n"); return line }

func (s *suite) noOp(ctx context.Context) error {
	if _, err := s.checkout.build(ctx, target); err != nil {
		return err
	}
	if s.buildahFails == nil {
		if err := s.freshBuildah(ctx); err != nil {
			return err
		}
		if _, err := s.buildah.build(ctx, s.architecture, 0); err != nil {
			return err
		}
	}
	return s.compare([]tool{
		single(krabbyName, func(int) (measure.Cost, error) { return s.checkout.build(ctx, target) }),
		single(buildahName, func(int) (measure.Cost, error) { return s.buildah.build(ctx, s.architecture, 0) }),
		{craneName, func(int) ([]outcome, error) { return nil, skipError{"crane has no cache; see its cold assembly"} }},
	}, "no-op build")
}

// edit measures the build of a new image after a changed line, and keeps the layers of each run for other operations.
func (s *suite) edit(ctx context.Context) error {
	return s.compare([]tool{single(krabbyName, func(i int) (measure.Cost, error) {
		cost, err := s.checkout.editAndBuild(ctx, target)
		if err != nil {
			return cost, err
		}
		layers, err := s.image.copyLayers(filepath.Join(s.scratch, fmt.Sprint("changed", i+1)))
		s.changed = append(s.changed, layers)
		return cost, err
	})}, "one changed line of Go")
}

func (s *suite) freshBuildah(ctx context.Context) error {
	if err := s.buildah.setBase(ctx, s.architecture, s.baseLayers); err != nil {
		return err
	}
	return s.buildah.setLayers(s.image.params, s.original)
}

// Each tool's images have a number: 0 is the original, i+1 the image after the edit of run i.

func (s *suite) layout(number int) string {
	return filepath.Join(s.scratch, fmt.Sprint("layout", number))
}

func (s *suite) tar(number int) string {
	return filepath.Join(s.scratch, fmt.Sprintf("image%d.tar", number))
}

// assemble writes a layout with the tool of the rule oci_image.
func (s *suite) assemble(ctx context.Context, number int, layers []file) (measure.Cost, error) {
	p, err := s.image.params.with(s.base, layers)
	if err != nil {
		return measure.Cost{}, err
	}
	output := s.layout(number)
	if err := removeAll(output); err != nil {
		return measure.Cost{}, err
	}
	if err := writeJSON(output+".json", p); err != nil {
		return measure.Cost{}, err
	}
	cost, _, err := measure.Command(ctx, s.image.ociCommand("image", "--params", output+".json", "--output", output))
	return cost, err
}

// craneAppend writes a tar with crane, from a base in a registry; crane reads bases from registries only.
func (s *suite) craneAppend(ctx context.Context, registry *measure.Registry, number int, layers []file) (outcome, error) {
	args := []string{"append", "--base", registry.Host() + "/base", "--new_tag", "image:latest", "--output", s.tar(number)}
	for _, layer := range layers {
		args = append(args, "--new_layer", layer.Path)
	}
	if err := os.RemoveAll(s.tar(number)); err != nil {
		return outcome{}, err
	}
	served := registry.Served()
	cost, _, err := measure.Command(ctx, exec.Command(s.crane, args...))
	run := result(cost)
	served = registry.Served() - served
	run.Received = &served
	return run, err
}

// baseRegistry starts a registry that has the base, for crane.
func (s *suite) baseRegistry(ctx context.Context) (*measure.Registry, error) {
	registry := measure.StartRegistry()
	if _, _, err := measure.Command(ctx, exec.Command(s.crane, "push", s.base.Path, registry.Host()+"/base")); err != nil {
		registry.Close()
		return nil, fmt.Errorf("crane push of the base: %w", err)
	}
	return registry, nil
}

func (s *suite) cold(ctx context.Context) error {
	registry, err := s.baseRegistry(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	return s.compare([]tool{
		single(krabbyName, func(int) (measure.Cost, error) { return s.assemble(ctx, 0, s.original) }),
		single(buildahName, func(int) (measure.Cost, error) {
			if err := s.freshBuildah(ctx); err != nil {
				return measure.Cost{}, err
			}
			return s.buildah.build(ctx, s.architecture, 0)
		}),
		{craneName, func(int) ([]outcome, error) {
			run, err := s.craneAppend(ctx, registry, 0, s.original)
			return []outcome{run}, err
		}},
	}, "cold assembly from layers")
}

func (s *suite) changedLayer(ctx context.Context) error {
	registry, err := s.baseRegistry(ctx)
	if err != nil {
		return err
	}
	defer registry.Close()
	return s.compare([]tool{
		single(krabbyName, func(i int) (measure.Cost, error) { return s.assemble(ctx, i+1, s.changed[i]) }),
		single(buildahName, func(i int) (measure.Cost, error) {
			if err := s.buildah.setLayers(s.image.params, s.changed[i]); err != nil {
				return measure.Cost{}, err
			}
			return s.buildah.build(ctx, s.architecture, i+1)
		}),
		{craneName, func(i int) ([]outcome, error) {
			run, err := s.craneAppend(ctx, registry, i+1, s.changed[i])
			return []outcome{run}, err
		}},
	}, "changed layer to image")
}

// push measures pushing the original image to an empty registry, and then the changed image to the same registry.
func (s *suite) push(ctx context.Context) error {
	return s.compare([]tool{
		s.pushes(krabbyName, func(number int, repository string) (measure.Cost, error) {
			params := s.layout(number) + ".push.json"
			if err := writeJSON(params, pushParams(s.layout(number), repository)); err != nil {
				return measure.Cost{}, err
			}
			cost, _, err := measure.Command(ctx, s.image.ociCommand("push", "--params", params))
			return cost, err
		}),
		s.pushes(buildahName, func(number int, repository string) (measure.Cost, error) {
			return s.buildah.push(ctx, number, repository+":latest")
		}),
		s.pushes(craneName, func(number int, repository string) (measure.Cost, error) {
			cost, _, err := measure.Command(ctx, exec.Command(s.crane, "push", s.tar(number), repository+":latest"))
			return cost, err
		}),
	}, "first push", "push after the change")
}

// pushes returns a tool for both pushes.
func (s *suite) pushes(name string, push func(number int, repository string) (measure.Cost, error)) tool {
	return tool{name, func(i int) ([]outcome, error) {
		registry := measure.StartRegistry()
		defer registry.Close()
		var runs []outcome
		for _, number := range []int{0, i + 1} {
			received := registry.Received()
			cost, err := push(number, registry.Host()+"/image")
			if err != nil {
				return nil, err
			}
			received = registry.Received() - received
			run := result(cost)
			run.Sent = &received
			runs = append(runs, run)
		}
		return runs, nil
	}}
}

// pushParams returns the parameters that the rule oci_push writes.
func pushParams(layout, repository string) map[string]any {
	return map[string]any{
		"label":       target,
		"image":       layout,
		"repository":  map[string][]string{"values": {repository}},
		"remote_tags": map[string][]string{"values": {"latest"}},
	}
}

// header describes the machine, the image and the tools.
func (s *suite) header() []string {
	peers := []string{"crane " + s.craneVersion()}
	if s.buildahFails == nil {
		peers = append(peers, s.buildah.version)
	}
	lines := []string{
		measure.Machine(),
		fmt.Sprintf("image: %s for %s, base of %d layers, %d layers above it", target, s.architecture, len(s.baseLayers), len(s.original)),
		"peers: " + strings.Join(peers, "; "),
	}
	medians := fmt.Sprintf("medians of %d runs", s.runs)
	if s.baseline != nil {
		lines = append(lines, "baseline: commit "+s.baseline.commit)
		if s.coldRuns > 0 {
			medians += fmt.Sprintf(", of %d for cold builds", s.coldRuns)
		}
	}
	return append(lines, medians+"; in brackets: ratio to the first tool of the operation")
}

// craneVersion returns the version in go.mod: binaries built by Bazel have none.
func (s *suite) craneVersion() string {
	data, err := os.ReadFile(filepath.Join(s.checkout.dir, "go.mod"))
	if err != nil {
		return "of unknown version"
	}
	match := regexp.MustCompile(`(?m)^\s*github\.com/google/go-containerregistry (v\S+)`).FindSubmatch(data)
	if match == nil {
		return "of unknown version"
	}
	return string(match[1])
}

func writeJSON(path string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
