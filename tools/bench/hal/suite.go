package main

import (
	"context"
	"fmt"
	"time"

	"krabby.dev/krabby/tools/bench/latency"
	"krabby.dev/krabby/tools/bench/measure"
	"krabby.dev/krabby/tools/bench/peer"
)

// measureName is a measure, as an argument of peer.py.
type measureName string

const (
	observation measureName = "observation"
	age         measureName = "age"
	command     measureName = "command"

	inproc = "inproc"
	tcp    = "tcp"
)

// Names of the tools.
const (
	krabbyName       = "krabby"
	krabbyCopiesName = "krabby, images copied in"
	krabbyBusyName   = "krabby, without pauses"
	pyzmqName        = "pyzmq, v1"
	pyzmqLendsName   = "pyzmq, v1, copy=False"
)

// operations are the measures in the order of the report.
var operations = []struct {
	name      string
	measure   measureName
	transport string
	tools     []string
}{
	{"observation, inproc", observation, inproc, []string{krabbyName, krabbyBusyName, krabbyCopiesName, pyzmqName, pyzmqLendsName}},
	{"observation, TCP", observation, tcp, []string{krabbyName, krabbyBusyName, krabbyCopiesName, pyzmqName, pyzmqLendsName}},
	{"age at 20 of 100 Hz, inproc", age, inproc, []string{krabbyName, pyzmqName}},
	{"age at 20 of 100 Hz, TCP", age, tcp, []string{krabbyName, pyzmqName}},
	{"command, inproc", command, inproc, []string{krabbyName, pyzmqName}},
	{"command, TCP", command, tcp, []string{krabbyName, pyzmqName}},
}

// suite runs each operation with each tool.
type suite struct {
	runs      int
	duration  time.Duration
	progress  func(string, ...any)
	peer      *peer.Python
	peerFails error  // Not nil if the peer cannot run here.
	version   string // The peer's version, set by its first measure.
}

func (s *suite) measure(ctx context.Context) (*latency.Report, error) {
	r := &latency.Report{Count: "messages", Lost: "lost"}
	for i, o := range operations {
		var tools []latency.Tool
		for _, name := range o.tools {
			tools = append(tools, s.tool(name, o.measure, o.transport))
		}
		progress := func(step string) { s.progress("%d of %d: %s", i+1, len(operations), step) }
		if err := r.Compare(ctx, o.name, s.runs, tools, progress); err != nil {
			return nil, err
		}
	}
	r.Header = s.header()
	return r, nil
}

func (s *suite) tool(name string, m measureName, transport string) latency.Tool {
	if name == pyzmqName || name == pyzmqLendsName {
		return latency.Tool{Name: name, Fails: s.peerFails, Measure: func(ctx context.Context) (latency.Sample, error) {
			result, err := measurePeer(ctx, s.peer, m, transport, name == pyzmqLendsName, s.duration)
			s.version = result.Version
			return result.Sample, err
		}}
	}
	v := variant{copies: name == krabbyCopiesName, busy: name == krabbyBusyName}
	return latency.Tool{Name: name, Measure: func(ctx context.Context) (latency.Sample, error) {
		return measureKrabby(ctx, m, transport, v, s.duration)
	}}
}

func (s *suite) header() []string {
	lines := []string{measure.Machine()}
	if s.peerFails == nil {
		lines = append(lines, "peer: "+s.version)
	}
	return append(lines, fmt.Sprintf("%d runs of %v each, together; in brackets: ratio to the first tool of the operation", s.runs, s.duration))
}
