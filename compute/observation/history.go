package observation

import "krabby.dev/krabby/compute/policy"

// history has the values of some terms in several steps, as they stand in the observation.
type history struct {
	at          int // In the observation.
	values      []float32
	width       int
	newestFirst bool
	parts       []part
}

// part is a term in each step of a history.
type part struct {
	span      // To is the place in a step.
	zero bool // The term is 0 in the history.
}

// addHistory lays out the observation.
func (b *Builder) addHistory(p *policy.Policy, l policy.Layout) {
	h := p.Observation.History
	if h == nil {
		return // The frame is the observation.
	}
	b.start, b.after = h.Start, h.Push == policy.PushAfter
	if !b.after {
		b.frame = make([]float32, l.FrameSize)
		for _, c := range l.Current {
			b.current = append(b.current, span{l.Terms[c.Term].At, l.Terms[c.Term].Size, c.At})
		}
	}
	for _, block := range l.History {
		n := history{at: block.At, values: make([]float32, block.Steps*block.Width), width: block.Width, newestFirst: h.Order == policy.NewestFirst}
		to := 0
		for _, i := range block.Terms {
			n.parts = append(n.parts, part{span{l.Terms[i].At, l.Terms[i].Size, to}, p.Observation.Terms[i].ZeroInHistory})
			to += l.Terms[i].Size
		}
		b.history = append(b.history, n)
	}
}

// assemble writes the observation of a step with that frame, and pushes the frame into the history.
func (b *Builder) assemble(dst, frame []float32) {
	for _, s := range b.current {
		copy(dst[s.to:], frame[s.from:s.from+s.size])
	}
	for i := range b.history {
		h := &b.history[i]
		if !b.started && b.start == policy.StartRepeat {
			h.fill(frame)
		}
		if !b.after {
			h.push(frame)
		}
		copy(dst[h.at:], h.values)
		if b.after {
			h.push(frame)
		}
	}
}

// fill makes all steps those of the frame.
func (h *history) fill(frame []float32) {
	for at := 0; at < len(h.values); at += h.width {
		h.writeStep(at, frame)
	}
}

// push removes the oldest step and adds the frame as the newest.
func (h *history) push(frame []float32) {
	if h.newestFirst {
		copy(h.values[h.width:], h.values)
		h.writeStep(0, frame)
		return
	}
	copy(h.values, h.values[h.width:])
	h.writeStep(len(h.values)-h.width, frame)
}

// writeStep writes the step at an index of the values.
func (h *history) writeStep(at int, frame []float32) {
	for _, p := range h.parts {
		step := h.values[at+p.to : at+p.to+p.size]
		if p.zero {
			clear(step)
			continue
		}
		copy(step, frame[p.from:p.from+p.size])
	}
}
