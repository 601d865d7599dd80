package main

import (
	"bytes"
	"context"
	_ "embed"
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

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/tools/rootfs"
)

// Runfile path of the peer's root file system, set by the linker (x_defs).
var pyzmqRootFS string

//go:embed peer.py
var peerProgram []byte

// peer is peer.py in a root file system of its own: Debian's Python, and the wheels that the images have.
type peer struct {
	rootFS  string
	program string
	version string // Known after the first measure.
}

// newPeer unpacks Python below dir.
func newPeer(dir string) (*peer, error) {
	archive, err := runfiles.Rlocation(pyzmqRootFS)
	if err != nil {
		return nil, fmt.Errorf("finding Python: %w", err)
	}
	p := &peer{rootFS: filepath.Join(dir, "root"), program: filepath.Join(dir, "peer.py")}
	if err := os.Mkdir(p.rootFS, 0o755); err != nil {
		return nil, err
	}
	if err := rootfs.Unpack(archive, p.rootFS); err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", archive, err)
	}
	return p, os.WriteFile(p.program, peerProgram, 0o644)
}

// measure takes one measure; lends says that pyzmq does not copy.
func (p *peer) measure(ctx context.Context, m measureName, transport string, lends bool, duration time.Duration) (sample, error) {
	copies := "1"
	if lends {
		copies = "0"
	}
	command := rootfs.Command(p.rootFS, "usr/bin/python3.11", "-B", p.program, string(m), transport, copies, fmt.Sprint(duration.Seconds()))
	command.Env = []string{
		"PYTHONHOME=" + filepath.Join(p.rootFS, "usr"),
		"PYTHONPATH=" + filepath.Join(p.rootFS, "opt/krabby/python/site-packages"),
		"OPENBLAS_NUM_THREADS=1", // Nothing is multiplied.
	}
	ctx, cancel := context.WithTimeout(ctx, duration+time.Minute)
	defer cancel()
	out, err := output(ctx, command)
	if err != nil {
		return sample{}, fmt.Errorf("peer.py %s %s: %w", m, transport, err)
	}
	s, version, err := parse(out)
	if err != nil {
		return sample{}, fmt.Errorf("peer.py %s %s: %w", m, transport, err)
	}
	p.version = version
	return s, nil
}

// output runs a command, and ends it and its children with ctx.
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

// parse reads what the peer's processes wrote.
func parse(out []byte) (sample, string, error) {
	var s sample
	version := ""
	lines := json.NewDecoder(bytes.NewReader(out))
	for {
		var line struct {
			Version   string  `json:"version"`
			Lost      int     `json:"lost"`
			SamplesNs []int64 `json:"samples_ns"`
		}
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sample{}, "", fmt.Errorf("found %.80q, expected lines of JSON: %w", out, err)
		}
		version = line.Version
		s.lost += line.Lost
		for _, ns := range line.SamplesNs {
			s.took = append(s.took, time.Duration(ns))
		}
	}
	if len(s.took) == 0 {
		return sample{}, "", fmt.Errorf("found %.80q, expected samples", out)
	}
	return s, version, nil
}
