package safety

import "math"

// advance sets the time of the gate to nowNs and returns it. A clock that goes back is a fault, because ages become unknown.
func (g *Gate) advance(nowNs int64) int64 {
	switch {
	case !g.started:
		g.started = true
		g.nowNs, g.tickNs, g.enteredNs = nowNs, nowNs, nowNs
	case nowNs >= g.nowNs:
		g.nowNs = nowNs
	case sub(g.nowNs, nowNs) <= int64(clockTolerance): // The time stays.
	default:
		g.restartClock(nowNs)
		if g.state != Idle {
			g.stop(FaultClock)
		}
	}
	return g.nowNs
}

// restartClock continues at nowNs, which is before the current time. Earlier stamps cannot be compared with later ones.
func (g *Gate) restartClock(nowNs int64) {
	g.addSpent()
	g.nowNs, g.tickNs, g.enteredNs = nowNs, nowNs, nowNs
	g.observed, g.ordered = false, false
	g.stopNs = nowNs // In stopped, this counts as another stop.
	clear(g.history[:])
}

// add returns a + b, saturated.
func add(a, b int64) int64 {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}

// sub returns a - b, saturated. Messages may carry any stamp, and an age must not wrap around.
func sub(a, b int64) int64 {
	switch difference := a - b; {
	case a >= 0 && b < 0 && difference < 0:
		return math.MaxInt64
	case a < 0 && b >= 0 && difference >= 0:
		return math.MinInt64
	default:
		return difference
	}
}
