package server

import (
	"maps"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/safety"
)

// Stats are the server's counters since New.
type Stats struct {
	// Steps counts steps of the loop.
	Steps uint64 `json:"steps"`
	// MissedDeadlines counts deadlines at which the loop was late by a period or more, or still in the step before.
	MissedDeadlines uint64 `json:"missed_deadlines"`
	// Published counts observations that were published on at least one link.
	Published uint64 `json:"published"`
	// Unpublished counts steps without an observation, by reason: read or invalid; and observations that a link did not accept:
	// pinned (readers hold all memory), transport, or v1 (not representable in version 1).
	Unpublished map[string]uint64 `json:"unpublished"`
	// Applied counts commands that the gate accepted and a write to the backend applied.
	Applied uint64 `json:"applied"`
	// Rejected counts the other commands, by safety.RejectReason, wire.RejectReason, v1.RejectReason (with the prefix v1_),
	// Multipart, Oversize (or v1_oversize), Transport or Unwritten.
	Rejected map[string]uint64 `json:"rejected"`
	// Holds counts how often a command expired without a successor, so that the gate held the last output.
	Holds uint64 `json:"holds"`
	// Damps counts how often a hold lasted so long that the gate damped the joints.
	Damps uint64 `json:"damps"`
	// WriteErrors counts writes that the backend did not accept.
	WriteErrors uint64 `json:"write_errors"`
	// Backend is the state and the health of the backend.
	Backend BackendStats `json:"backend"`
	// Connections counts the TCP connections of all links.
	Connections bus.Connections `json:"connections"`
	// Control counts control requests.
	Control ControlStats `json:"control"`
	// Safety is the gate's report.
	Safety safety.Report `json:"safety"`
}

// BackendStats are the state and the health of a backend.
type BackendStats struct {
	// State is the state of the life cycle; package backend has the table.
	State string `json:"state"`
	backend.Health
}

// Reasons for rejecting a command, beside those of the gate and of the wire format.
const (
	// Transport: the frame could not be received.
	Transport = "transport"
	// Multipart: the message had more or less than one part.
	Multipart = "multipart"
	// Oversize: the frame was larger than any valid one, and its sender was disconnected.
	Oversize = "oversize"
	// Unwritten: the gate accepted the command, and the command ended before a write of it succeeded.
	Unwritten = "unwritten"
)

func newStats() Stats {
	return Stats{
		Unpublished: map[string]uint64{}, Rejected: map[string]uint64{},
		Control: ControlStats{Requests: map[string]uint64{}, Rejected: map[string]uint64{}},
	}
}

// Stats returns a copy of the counters. It may be called at any time from any goroutine.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Unpublished = maps.Clone(stats.Unpublished)
	stats.Rejected = maps.Clone(stats.Rejected)
	stats.Control = ControlStats{maps.Clone(stats.Control.Requests), maps.Clone(stats.Control.Rejected)}
	stats.Safety = s.gate.Report(s.clock.NowNs())
	stats.Backend = BackendStats{s.backend.State().String(), s.backend.Health()}
	stats.countConnections(s)
	return stats
}

// countConnections adds the counters of the server's sockets.
func (st *Stats) countConnections(s *Server) {
	add := func(rejected map[string]uint64, reason string, out, in bus.ConnectionCounter) {
		received := in.Connections()
		st.Connections = st.Connections.Add(received)
		if out != nil {
			st.Connections = st.Connections.Add(out.Connections())
		}
		if received.Oversize > 0 { // The receiver rejected frames by itself.
			rejected[reason] += received.Oversize
		}
	}
	for _, l := range s.links {
		add(st.Rejected, Oversize, l.out, l.in)
	}
	if s.v1 != nil {
		add(st.Rejected, "v1_"+Oversize, s.v1.out, s.v1.in)
	}
	if s.control != nil {
		add(st.Control.Rejected, Oversize, nil, s.control)
	}
}

func (s *Server) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}
