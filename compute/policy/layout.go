package policy

// Layout is where the values of an observation lie. A frame has the terms of one step, one after the other.
type Layout struct {
	// Terms are the places of the terms in a frame, in order.
	Terms []Span
	// FrameSize is the number of values of a frame.
	FrameSize int
	// Current are the parts of the observation that are copies of the current frame, in ascending order.
	Current []Copy
	// History are the parts of the observation that have the values of several steps.
	History []HistoryBlock
	// Size is the number of values of an observation.
	Size int
}

// Span is a number of consecutive values.
type Span struct{ At, Size int }

// Copy is a term of the current frame at a place of the observation.
type Copy struct {
	Term int // Index of the term.
	At   int // In the observation.
}

// HistoryBlock has the values of some terms in several steps, step by step.
type HistoryBlock struct {
	// At is the place in the observation.
	At int
	// Steps is the number of steps.
	Steps int
	// Terms are the indices of the terms.
	Terms []int
	// Width is the number of values of one step.
	Width int
}

// ObservationLayout returns the layout of p's observation.
func (p *Policy) ObservationLayout() Layout {
	var l Layout
	o := &p.Observation
	for i := range o.Terms {
		size := len(p.components(&o.Terms[i]))
		l.Terms = append(l.Terms, Span{l.FrameSize, size})
		l.FrameSize += size
	}
	// Before the history: the current terms, and with PushBefore the history in their place.
	inPlace := o.History != nil && o.History.Push == PushBefore
	for i := range o.Terms {
		if inPlace && o.historySteps(i) > 0 {
			l.addHistory(o, i)
			continue
		}
		l.Current = append(l.Current, Copy{i, l.Size})
		l.Size += l.Terms[i].Size
	}
	if o.History != nil && !inPlace {
		for i := range o.Terms {
			if o.historySteps(i) > 0 {
				l.addHistory(o, i)
			}
		}
	}
	return l
}

// historySteps returns the number of steps of term i in the history.
func (o *Observation) historySteps(i int) int {
	switch {
	case o.History == nil:
		return 0
	case o.Terms[i].HistorySteps != nil:
		return *o.Terms[i].HistorySteps
	}
	return o.History.Steps
}

// addHistory adds term i to the history: to the one block of all terms, or as a block of its own.
func (l *Layout) addHistory(o *Observation, i int) {
	if o.History.Layout == ByTerm {
		steps := o.historySteps(i)
		l.History = append(l.History, HistoryBlock{l.Size, steps, []int{i}, l.Terms[i].Size})
		l.Size += steps * l.Terms[i].Size
		return
	}
	if len(l.History) > 0 {
		return
	}
	block := HistoryBlock{At: l.Size, Steps: o.History.Steps}
	for term := range o.Terms {
		if o.historySteps(term) > 0 {
			block.Terms = append(block.Terms, term)
			block.Width += l.Terms[term].Size
		}
	}
	l.History = append(l.History, block)
	l.Size += block.Steps * block.Width
}

// AgeSteps returns the age of step i of a block.
func (b *HistoryBlock) AgeSteps(h *History, i int) int {
	age := i
	if h.Order == OldestFirst {
		age = b.Steps - 1 - i
	}
	if h.Push == PushAfter {
		age++
	}
	return age
}
