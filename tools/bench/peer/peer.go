// Package peer runs the programs that krabby is compared with. They write their measurements as lines of JSON.
//
// It does not depend on the benchmarks.
package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"krabby.dev/krabby/tools/bench/latency"
	"krabby.dev/krabby/tools/rootfs"
)

// Result is the measurement of a peer.
type Result struct {
	latency.Sample
	Version string    // The peer's name and version.
	First   []float32 // Output of the first step, if the peer reports it.
}

// Measure runs a peer that measures for the given duration. It kills the peer and its children when ctx is done, or a minute after
// that duration.
func Measure(ctx context.Context, command *exec.Cmd, duration time.Duration) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, duration+time.Minute)
	defer cancel()
	out, err := output(ctx, command)
	if err != nil {
		return Result{}, err
	}
	return parse(out)
}

func output(ctx context.Context, command *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	err := command.Wait()
	stop()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// parse merges the lines of all processes of a peer.
func parse(out []byte) (Result, error) {
	var r Result
	lines := json.NewDecoder(bytes.NewReader(out))
	for {
		var line struct {
			Version   string    `json:"version"`
			First     []float32 `json:"first"`
			Lost      int       `json:"lost"`
			SamplesNs []int64   `json:"samples_ns"`
		}
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Result{}, fmt.Errorf("found %.80q, expected lines of JSON: %w", out, err)
		}
		r.Version, r.First = line.Version, line.First
		r.Lost += line.Lost
		for _, ns := range line.SamplesNs {
			r.Took = append(r.Took, time.Duration(ns))
		}
	}
	if len(r.Took) == 0 {
		return Result{}, fmt.Errorf("found %.80q, expected samples", out)
	}
	return r, nil
}

// Python runs a Python program in its own root file system, with Debian's Python and the wheels of the images.
type Python struct {
	rootFS  string
	program string
	path    []string
}

// NewPython unpacks a root file system and writes the program below dir. The folders are added to the import path.
func NewPython(archive, dir string, program []byte, folders ...string) (*Python, error) {
	p := &Python{rootFS: filepath.Join(dir, "root"), program: filepath.Join(dir, "peer.py")}
	p.path = append([]string{filepath.Join(p.rootFS, "opt/krabby/python/site-packages")}, folders...)
	if err := os.Mkdir(p.rootFS, 0o755); err != nil {
		return nil, err
	}
	if err := rootfs.Unpack(archive, p.rootFS); err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", archive, err)
	}
	return p, os.WriteFile(p.program, program, 0o644)
}

// Check returns an error if a module cannot be imported, for example because its library is for another architecture.
func (p *Python) Check(ctx context.Context, module string) error {
	if _, err := output(ctx, p.command("-c", "import "+module)); err != nil {
		return fmt.Errorf("importing %s: %w", module, err)
	}
	return nil
}

// Measure runs the program with arguments; see the function Measure.
func (p *Python) Measure(ctx context.Context, duration time.Duration, args ...string) (Result, error) {
	result, err := Measure(ctx, p.command(append([]string{p.program}, args...)...), duration)
	if err != nil {
		return Result{}, fmt.Errorf("peer.py: %w", err)
	}
	return result, nil
}

func (p *Python) command(args ...string) *exec.Cmd {
	command := rootfs.Command(p.rootFS, "usr/bin/python3.11", append([]string{"-B"}, args...)...)
	command.Env = []string{
		"PYTHONHOME=" + filepath.Join(p.rootFS, "usr"),
		"PYTHONPATH=" + strings.Join(p.path, ":"),
		"OPENBLAS_NUM_THREADS=1", // The peers use no linear algebra.
	}
	return command
}
