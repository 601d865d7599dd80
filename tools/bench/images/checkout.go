package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"krabby.dev/krabby/tools/bench/measure"
)

const (
	target  = "//oci:locomotion"
	ociTool = "@rules_oci//oci/cmd/oci"

	// A line of the image's program with a help text, so that a change of it changes the program.
	changedFile = "cmd/locomotion/main.go"
	changedLine = `"Runs a legged robot with a trained policy`
)

// checkout is a copy of the repository with a Bazel server of its own.
type checkout struct {
	dir      string
	execRoot string
	server   int    // The server's process.
	oci      string // Path of ociTool.
	params   params
	original []byte // Content of changedFile.
}

// params are the parameters that the rule oci_image writes for its tool. Unknown fields are kept.
type params map[string]json.RawMessage

// file is an input of the tool.
type file struct {
	Path  string `json:"path"`
	Label string `json:"label"`
}

// openCheckout creates or updates the copy and builds the image in it.
func openCheckout(ctx context.Context, workspace, dir string, progress func(string, ...any)) (_ *checkout, err error) {
	progress("copying the sources to %s", dir)
	if err := copySources(ctx, workspace, dir); err != nil {
		return nil, fmt.Errorf("copying the sources: %w", err)
	}
	c := &checkout{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.original, err = os.ReadFile(filepath.Join(dir, changedFile)); err != nil {
		return nil, err
	}
	progress("building %s there (minutes the first time)", target)
	if _, err = c.bazel(ctx, "build", target, ociTool); err != nil {
		return nil, err
	}
	info := func(key string) (string, error) {
		out, err := c.bazel(ctx, "info", key)
		return strings.TrimSpace(out), err
	}
	if c.execRoot, err = info("execution_root"); err != nil {
		return nil, err
	}
	pid, err := info("server_pid")
	if err != nil {
		return nil, err
	}
	if c.server, err = strconv.Atoi(pid); err != nil {
		return nil, fmt.Errorf("bazel info server_pid: %w", err)
	}
	if c.oci, err = c.bazel(ctx, "cquery", "--output=files", ociTool); err != nil {
		return nil, err
	}
	c.oci = filepath.Join(c.execRoot, strings.TrimSpace(c.oci))
	data, err := os.ReadFile(filepath.Join(dir, "bazel-bin/oci/locomotion.params.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &c.params); err != nil {
		return nil, fmt.Errorf("parameters of %s: %w", target, err)
	}
	// Bazel does not write intermediate outputs from its cache to disk unless they are requested.
	_, err = c.bazel(ctx, append([]string{"build", target, ociTool}, c.inputs()...)...)
	return c, err
}

// describedBy are the inputs that the parameters name by file, beside base and layers.
var describedBy = []string{"//oci:locomotion_description", "//oci:locomotion_entrypoint", "//oci:locomotion_env"}

// ociCommand returns a call of ociTool. It runs in the execution root, to which paths in its parameters are relative.
func (c *checkout) ociCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(c.oci, args...)
	cmd.Dir = c.execRoot
	return cmd
}

// inputs returns the labels of the inputs of the image.
func (c *checkout) inputs() []string {
	labels := append([]string{c.params.base().Label}, describedBy...)
	for _, layer := range c.params.layers() {
		labels = append(labels, layer.Label)
	}
	return labels
}

func (p params) base() (base file)       { json.Unmarshal(p["base"], &base); return }
func (p params) layers() (layers []file) { json.Unmarshal(p["layers"], &layers); return }

// with returns the parameters with another base and other layers.
func (p params) with(base file, layers []file) (params, error) {
	changed := params{}
	for name, value := range p {
		changed[name] = value
	}
	var err error
	if changed["base"], err = json.Marshal(base); err != nil {
		return nil, err
	}
	changed["layers"], err = json.Marshal(layers)
	return changed, err
}

// command returns a call of Bazel in the copy. It uses this repository's rules_oci on every network.
func (c *checkout) command(ctx context.Context, verb string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.dir, "tools/bazel"), append([]string{verb, "--config=shallow", "--noshow_progress", "--color=no"}, args...)...)
	cmd.Dir = c.dir
	// The variables of bazel run belong to the caller's workspace.
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "BUILD_W") && !strings.HasPrefix(variable, "RUNFILES_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

func (c *checkout) bazel(ctx context.Context, args ...string) (string, error) {
	_, out, err := measure.Command(ctx, c.command(ctx, args[0], args[1:]...))
	if err != nil {
		return "", fmt.Errorf("bazel %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

// build builds an image and returns the cost in the client, in the server and in the actions.
func (c *checkout) build(ctx context.Context, target string) (measure.Cost, error) {
	before, err := measure.Process(c.server)
	if err != nil {
		return measure.Cost{}, err
	}
	cost, _, err := measure.Command(ctx, c.command(ctx, "build", target))
	if err != nil {
		return measure.Cost{}, fmt.Errorf("bazel build: %w", err)
	}
	after, err := measure.Process(c.server)
	if err != nil {
		return measure.Cost{}, fmt.Errorf("the Bazel server has stopped: %w", err)
	}
	cost.Bytes = cost.Bytes.Add(after.Sub(before))
	return cost, nil
}

// addOnBase adds an image to the copy, with the layers of target on a base in a registry.
func (c *checkout) addOnBase(name, image, digest string) (added string, err error) {
	var tars []string
	for _, layer := range c.params.layers() {
		tars = append(tars, layer.Label)
	}
	return "//oci:" + name + "_image", errors.Join(
		c.append("MODULE.bazel", fmt.Sprintf("oci.pull(name = %q, digest = %q, image = %q)\nuse_repo(oci, %q)\n", name, digest, image, name)),
		c.append("oci/BUILD.bazel", fmt.Sprintf("oci_image(name = %q, base = %q, tars = %s)\n", name+"_image", "@"+name, starlark(tars))),
	)
}

// starlark formats a list of strings.
func starlark(list []string) string {
	data, _ := json.Marshal(list) // A list of strings is the same in JSON and Starlark, and cannot fail.
	return string(data)
}

// append adds text to a file of the copy. The next copySources removes it.
func (c *checkout) append(path, text string) error {
	f, err := os.OpenFile(filepath.Join(c.dir, path), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + text)
	return errors.Join(err, f.Close())
}

// edit changes one line of the image's program to a text that no cache has.
func (c *checkout) edit() error {
	changed := bytes.Replace(c.original, []byte(changedLine), fmt.Appendf(nil, "%s %d", changedLine, time.Now().UnixNano()), 1)
	if bytes.Equal(changed, c.original) {
		return fmt.Errorf("%s: no line with %s to change", changedFile, changedLine)
	}
	return os.WriteFile(filepath.Join(c.dir, changedFile), changed, 0o644)
}

// copyLayers copies the current layers to dir and returns the copies.
func (c *checkout) copyLayers(dir string) ([]file, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var copies []file
	for _, layer := range c.params.layers() {
		copied := file{Path: filepath.Join(dir, filepath.Base(layer.Path)), Label: layer.Label}
		if err := copyFile(filepath.Join(c.execRoot, layer.Path), copied.Path); err != nil {
			return nil, err
		}
		copies = append(copies, copied)
	}
	return copies, nil
}

// close restores the changed file and stops the server. It keeps the copy.
func (c *checkout) close() error {
	var restore error
	if c.original != nil {
		restore = os.WriteFile(filepath.Join(c.dir, changedFile), c.original, 0o644)
	}
	_, err := c.bazel(context.Background(), "shutdown")
	return errors.Join(restore, err)
}

// copySources makes dir a copy of the files that git tracks in the workspace, with uncommitted changes. It does not touch files that
// are equal, nor files of the launcher and of Bazel.
func copySources(ctx context.Context, workspace, dir string) error {
	git := exec.CommandContext(ctx, "git", "-C", workspace, "ls-files", "-z")
	out, err := git.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	tracked := map[string]bool{}
	for path := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		err := copyFile(filepath.Join(workspace, path), filepath.Join(dir, path))
		if errors.Is(err, fs.ErrNotExist) { // Deleted, not yet committed.
			continue
		} else if err != nil {
			return err
		}
		tracked[path] = true
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || tracked[name] || name == ".bazelrc.network" || strings.HasPrefix(name, "bazel-") {
			return err
		}
		return os.Remove(path)
	})
}

// copyFile copies content and the executable bit. It does not write a file that is equal.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if existing, err := os.ReadFile(to); err == nil && bytes.Equal(existing, data) {
		return os.Chmod(to, mode)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, data, mode); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}
