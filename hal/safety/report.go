package safety

import (
	"maps"
	"time"
)

// Report is the state and the counters of a gate.
type Report struct {
	// State is the name of the state.
	State string `json:"state"`
	// TimeS is the time spent in each state, in s.
	TimeS map[string]float64 `json:"time_s"`
	// Verdict is the result for the last offered command: accepted, a RejectReason, or empty if there was none.
	Verdict string `json:"verdict"`
	// SlewLimited counts ticks at which the slew limit kept a target from the command's.
	SlewLimited uint64 `json:"slew_limited"`
	// StoppedBy is the fault that stopped the robot; empty in other states than stopped.
	StoppedBy string `json:"stopped_by"`
	// Trips counts entries into stopped, by fault.
	Trips map[string]uint64 `json:"trips"`
	// ResetsRejected counts rejected resets, by active fault.
	ResetsRejected map[string]uint64 `json:"resets_rejected"`
}

// Report returns a snapshot at nowNs.
func (g *Gate) Report(nowNs int64) Report {
	r := Report{
		State:          g.state.String(),
		TimeS:          map[string]float64{},
		Verdict:        g.verdict,
		SlewLimited:    g.slewLimited,
		StoppedBy:      string(g.fault),
		Trips:          maps.Collect(stringKeys(g.trips)),
		ResetsRejected: maps.Collect(stringKeys(g.resetsRejected)),
	}
	for s := range stateCount {
		spent := g.spentNs[s]
		if s == g.state && g.started {
			spent = add(spent, max(sub(nowNs, g.enteredNs), 0))
		}
		if spent > 0 {
			r.TimeS[s.String()] = time.Duration(spent).Seconds()
		}
	}
	return r
}

// stringKeys iterates over counters, with strings as keys.
func stringKeys(counts map[Fault]uint64) func(yield func(string, uint64) bool) {
	return func(yield func(string, uint64) bool) {
		for fault, n := range counts {
			if !yield(string(fault), n) {
				return
			}
		}
	}
}

// addSpent adds the time since the state was entered to the time spent in it.
func (g *Gate) addSpent() {
	g.spentNs[g.state] = add(g.spentNs[g.state], max(sub(g.nowNs, g.enteredNs), 0))
	g.enteredNs = g.nowNs
}
