package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"krabby.dev/krabby/tools/bench/measure"
)

const target = "//oci:locomotion"

// line is a line of a source file that the benchmark changes. The text is the start of a string that the compiled program has, so
// that each change changes the program.
type line struct{ file, text string }

// Lines to change. The first that a commit has counts, because files move between commits.
var (
	programLines = []line{
		{"cmd/locomotion/main.go", `"Runs a legged robot with a trained policy`},
		{"hal/jetson/cmd/locomotion/main.go", `"Runs a legged robot with a trained policy`},
	}
	leafLines = []line{
		{"compute/doctor/plot/plot.go", `"plot: writing`},
	}
)

// findLine returns the first of the lines that a tree has.
func findLine(tree fs.FS, lines []line) (line, error) {
	var missing []string
	for _, l := range lines {
		data, err := fs.ReadFile(tree, l.file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, l.file+": no such file")
		case err != nil:
			return line{}, err
		case !bytes.Contains(data, []byte(l.text)):
			missing = append(missing, fmt.Sprintf("%s: no line with %s", l.file, l.text))
		default:
			return l, nil
		}
	}
	return line{}, fmt.Errorf("line to change not found: %s: add one to tools/bench/images/checkout.go", strings.Join(missing, "; "))
}

// checkout is a copy of the repository with its own Bazel server.
type checkout struct {
	dir       string
	flags     []string          // Of each Bazel command.
	server    int               // Process ID of the server.
	program   line              // Line of the image's program.
	leaf      line              // Line of a package that few others import, set by findLeaf.
	originals map[string][]byte // Contents of changed files, by path in dir.
}

// openCheckout builds the image in a copy of the repository. The caller closes it.
func openCheckout(ctx context.Context, dir string, progress func(string, ...any)) (_ *checkout, err error) {
	c := &checkout{dir: dir, flags: []string{"--noshow_progress", "--color=no"}, originals: map[string][]byte{}}
	if c.program, err = findLine(os.DirFS(dir), programLines); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	shallow, err := hasConfig(dir, "shallow")
	if err != nil {
		return nil, err
	}
	if shallow {
		c.flags = append(c.flags, "--config=shallow")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	progress("building %s in %s (minutes the first time)", target, dir)
	if _, err := c.bazel(ctx, "build", target); err != nil {
		return nil, err
	}
	if err := c.findServer(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// findLeaf finds the line that editAndTest changes.
func (c *checkout) findLeaf() (err error) {
	if c.leaf, err = findLine(os.DirFS(c.dir), leafLines); err != nil {
		return fmt.Errorf("%s: %w", c.dir, err)
	}
	return nil
}

// hasConfig reports whether .bazelrc has options for --config=name. Commits with the config shallow use this repository's rules_oci on a
// direct network only with it; later commits always do.
func hasConfig(dir, name string) (bool, error) {
	data, err := os.ReadFile(filepath.Join(dir, ".bazelrc"))
	if err != nil {
		return false, err
	}
	return regexp.MustCompile(`(?m)^[a-z]+:` + regexp.QuoteMeta(name) + `\s`).Match(data), nil
}

// command returns a call of Bazel in the copy.
func (c *checkout) command(verb string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.dir, "tools/bazel"), append(append([]string{verb}, c.flags...), args...)...)
	cmd.Dir = c.dir
	// The variables of bazel run belong to the caller's workspace.
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "BUILD_W") && !strings.HasPrefix(variable, "RUNFILES_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

// bazel runs a command of Bazel and returns its output.
func (c *checkout) bazel(ctx context.Context, verb string, args ...string) (string, error) {
	_, out, err := c.client(ctx, verb, args...)
	return out, err
}

// client runs a command of Bazel and returns its cost without that in the server.
func (c *checkout) client(ctx context.Context, verb string, args ...string) (measure.Cost, string, error) {
	cost, out, err := measure.Command(ctx, c.command(verb, args...))
	if err != nil {
		return cost, out, fmt.Errorf("%s: bazel %s: %w", c.dir, strings.Join(append([]string{verb}, args...), " "), err)
	}
	return cost, out, nil
}

// findServer sets the server's process ID.
func (c *checkout) findServer(ctx context.Context) error {
	out, err := c.bazel(ctx, "info", "server_pid")
	if err != nil {
		return err
	}
	if c.server, err = strconv.Atoi(strings.TrimSpace(out)); err != nil {
		return fmt.Errorf("%s: bazel info server_pid: %w", c.dir, err)
	}
	return nil
}

// measure runs a command of Bazel and returns the cost in the client, in the server and in the actions.
func (c *checkout) measure(ctx context.Context, verb string, args ...string) (measure.Cost, string, error) {
	before, err := measure.Process(c.server)
	if err != nil {
		return measure.Cost{}, "", err
	}
	cost, out, err := c.client(ctx, verb, args...)
	if err != nil {
		return cost, out, err
	}
	after, err := measure.Process(c.server)
	if err != nil {
		return cost, out, fmt.Errorf("%s: the Bazel server has stopped: %w", c.dir, err)
	}
	cost.Bytes = cost.Bytes.Add(after.Sub(before))
	return cost, out, nil
}

// build measures a build of an image.
func (c *checkout) build(ctx context.Context, target string) (measure.Cost, error) {
	cost, _, err := c.measure(ctx, "build", target)
	return cost, err
}

// editAndBuild changes the line of the program and measures the build of an image. It returns an error if the image is unchanged.
func (c *checkout) editAndBuild(ctx context.Context, target string) (measure.Cost, error) {
	index := filepath.Join(c.dir, "bazel-bin/oci", strings.TrimPrefix(target, "//oci:"), "index.json")
	before, err := os.ReadFile(index)
	if err != nil {
		return measure.Cost{}, err
	}
	if err := c.edit(c.program); err != nil {
		return measure.Cost{}, err
	}
	cost, err := c.build(ctx, target)
	if err != nil {
		return cost, err
	}
	after, err := os.ReadFile(index)
	if err != nil {
		return cost, err
	}
	if bytes.Equal(before, after) {
		return cost, fmt.Errorf("%s: %s has changed, but the image %s has not", c.dir, c.program.file, target)
	}
	return cost, nil
}

// editAndTest changes the line of the leaf package and measures all tests. It returns the number of tests that ran: Bazel takes the
// results of others from its cache.
func (c *checkout) editAndTest(ctx context.Context) (measure.Cost, int64, error) {
	if err := c.edit(c.leaf); err != nil {
		return measure.Cost{}, 0, err
	}
	cost, out, err := c.measure(ctx, "test", "//...")
	if err != nil {
		return cost, 0, err
	}
	tests, err := executedTests(out)
	if err == nil && tests == 0 {
		err = fmt.Errorf("%s: %s has changed, but no test ran", c.dir, c.leaf.file)
	}
	return cost, tests, err
}

// executedTests returns the number of executed tests in the output of bazel test.
func executedTests(output string) (int64, error) {
	match := regexp.MustCompile(`(?m)^Executed (\d+) out of \d+ tests?:`).FindStringSubmatch(output)
	if match == nil {
		return 0, fmt.Errorf("bazel test: number of tests not found in %q", output)
	}
	return strconv.ParseInt(match[1], 10, 64)
}

// coldBuild measures a build of the image without results of earlier builds: with a new Bazel server, a new output base and an empty
// disk cache. It keeps downloads, which are in Bazel's repository cache and in the launcher's cache.
func (c *checkout) coldBuild(ctx context.Context) (cost measure.Cost, err error) {
	// On a mirrored network Bazel sees only the launcher's cache and the workspace.
	disk := filepath.Join(c.dir, "bazel-cold-cache")
	defer func() { err = errors.Join(err, removeAll(disk)) }()
	if err := removeAll(disk); err != nil {
		return cost, err
	}
	if _, err := c.bazel(ctx, "clean", "--expunge"); err != nil {
		return cost, err
	}
	if cost, _, err = c.client(ctx, "build", "--disk_cache="+disk, target); err != nil {
		return cost, err
	}
	if err := c.findServer(ctx); err != nil {
		return cost, err
	}
	moved, err := measure.Process(c.server)
	cost.Bytes = cost.Bytes.Add(moved)
	return cost, err
}

// original returns the content of a file before the first change.
func (c *checkout) original(path string) ([]byte, error) {
	if data, ok := c.originals[path]; ok {
		return data, nil
	}
	data, err := os.ReadFile(filepath.Join(c.dir, path))
	if err == nil {
		c.originals[path] = data
	}
	return data, err
}

// edit changes a line to a text that no cache has.
func (c *checkout) edit(l line) error {
	original, err := c.original(l.file)
	if err != nil {
		return err
	}
	changed := bytes.Replace(original, []byte(l.text), fmt.Appendf(nil, "%s %d", l.text, time.Now().UnixNano()), 1)
	return os.WriteFile(filepath.Join(c.dir, l.file), changed, 0o644)
}

// append adds text to a file.
func (c *checkout) append(path, text string) error {
	if _, err := c.original(path); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(c.dir, path), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + text)
	return errors.Join(err, f.Close())
}

// restore restores all changed files.
func (c *checkout) restore() error {
	var errs []error
	for path, data := range c.originals {
		errs = append(errs, os.WriteFile(filepath.Join(c.dir, path), data, 0o644))
	}
	clear(c.originals)
	return errors.Join(errs...)
}

// close restores the changed files and stops the server. It keeps the copy.
func (c *checkout) close() error {
	_, err := c.bazel(context.Background(), "shutdown")
	return errors.Join(c.restore(), err)
}
