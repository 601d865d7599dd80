package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/tools/bench/peer"
)

//go:embed peer.py
var peerProgram []byte

// newPython unpacks Python with onnxruntime below dir.
func newPython(ctx context.Context, dir string, f files) (*peer.Python, error) {
	p, err := peer.NewPython(f.python, dir, peerProgram, filepath.Dir(filepath.Dir(f.onnxruntime)))
	if err != nil {
		return nil, err
	}
	return p, p.Check(ctx, "onnxruntime")
}

// measurePython measures a graph with peer.py; mode is the first argument of peer.py.
func measurePython(ctx context.Context, python *peer.Python, p *policy.Policy, graph, mode string, duration time.Duration) (peer.Result, error) {
	g := p.Graphs[graph]
	described, err := json.Marshal(g)
	if err != nil {
		return peer.Result{}, err
	}
	return python.Measure(ctx, duration, mode, fmt.Sprint(duration.Seconds()), filepath.Join(p.Dir, g.File), string(described))
}

// measureFloor measures a graph with floor/floor.c.
func measureFloor(ctx context.Context, f files, p *policy.Policy, graph string, duration time.Duration) (peer.Result, error) {
	g := p.Graphs[graph]
	args := []string{f.library, filepath.Join(p.Dir, g.File), fmt.Sprint(duration.Seconds())}
	for _, st := range g.States {
		args = append(args, st.Input+"="+st.Output)
	}
	return peer.Measure(ctx, exec.Command(f.floor, args...), duration)
}
