package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"krabby.dev/krabby/tools/bench/measure"
)

// measureName is what the peer calls it.
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

// operations are the measures in the order of the report, with how people call them.
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
	peer      *peer
	peerFails error // Why there is no peer.
}

func (s *suite) measure(ctx context.Context) (*report, error) {
	r := &report{}
	for i, o := range operations {
		first := len(r.rows)
		for _, tool := range o.tools {
			r.rows = append(r.rows, row{operation: o.name, tool: tool})
		}
		for n := range s.runs {
			s.progress("%d of %d: %s, run %d of %d", i+1, len(operations), o.name, n+1, s.runs)
			for at := range o.tools {
				if err := s.take(ctx, &r.rows[first+at], o.measure, o.transport); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", o.name, o.tools[at], err)
				}
			}
		}
	}
	r.header = s.header()
	return r, nil
}

// take adds one run to a row.
func (s *suite) take(ctx context.Context, r *row, m measureName, transport string) error {
	var took sample
	var err error
	switch r.tool {
	case krabbyName, krabbyCopiesName, krabbyBusyName:
		how := variant{copies: r.tool == krabbyCopiesName, busy: r.tool == krabbyBusyName}
		took, err = measureOurs(ctx, m, transport, how, s.duration)
	default:
		if s.peerFails != nil {
			reason, _, _ := strings.Cut(s.peerFails.Error(), "\n")
			r.note = "cannot run here: " + reason
			return nil
		}
		took, err = s.peer.measure(ctx, m, transport, r.tool == pyzmqLendsName, s.duration)
	}
	if err != nil {
		return err
	}
	r.samples = append(r.samples, took)
	return nil
}

func (s *suite) header() []string {
	lines := []string{measure.Machine() + ", load average " + load()}
	if s.peerFails == nil {
		lines = append(lines, "peer: "+s.peer.version)
	}
	return append(lines, fmt.Sprintf("%d runs of %v each, together; in brackets: ratio to the first tool of the operation", s.runs, s.duration))
}

// load is the machine's load average over 1, 5 and 15 minutes.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}
