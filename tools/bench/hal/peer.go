package main

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/tools/bench/peer"
)

// Runfile path of the peer's root file system, set by the linker (x_defs).
var pyzmqRootFS string

//go:embed peer.py
var peerProgram []byte

// newPeer unpacks Python below dir.
func newPeer(dir string) (*peer.Python, error) {
	archive, err := runfiles.Rlocation(pyzmqRootFS)
	if err != nil {
		return nil, fmt.Errorf("finding Python: %w", err)
	}
	return peer.NewPython(archive, dir, peerProgram)
}

// measurePeer measures pyzmq; lends makes pyzmq lend its memory instead of copying.
func measurePeer(ctx context.Context, p *peer.Python, m measureName, transport string, lends bool, duration time.Duration) (peer.Result, error) {
	copies := "1"
	if lends {
		copies = "0"
	}
	return p.Measure(ctx, duration, string(m), transport, copies, fmt.Sprint(duration.Seconds()))
}
