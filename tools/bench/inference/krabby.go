package main

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"time"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/tools/bench/peer"
)

const warmUp = 100

// measureKrabby runs a graph with the defaults of compute/onnx: in this thread, on memory that is bound once.
func measureKrabby(ctx context.Context, library *onnx.Runtime, p *policy.Policy, graph string, duration time.Duration) (r peer.Result, err error) {
	session, err := library.NewSession(p, onnx.WithGraph(graph))
	if err != nil {
		return peer.Result{}, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	g := p.Graphs[graph]
	for _, t := range g.Inputs {
		if !slices.ContainsFunc(g.States, func(st policy.State) bool { return st.Input == t.Name }) {
			fill(session.InputOf(t.Name))
		}
	}
	if err := session.Run(); err != nil {
		return peer.Result{}, err
	}
	r.First = slices.Clone(session.Output())
	for range warmUp {
		if err := session.Run(); err != nil {
			return peer.Result{}, err
		}
	}
	// Room for all samples, so that storing them does not count as an allocation.
	r.Took = make([]time.Duration, 0, int(duration/time.Microsecond))
	allocations := countAllocations()
	for end := time.Now().Add(duration); ctx.Err() == nil; {
		began := time.Now()
		if began.After(end) {
			break
		}
		if err := session.Run(); err != nil {
			return peer.Result{}, err
		}
		r.Took = append(r.Took, time.Since(began))
	}
	r.Allocations = allocations(len(r.Took))
	return r, ctx.Err()
}

// countAllocations starts counting; the result returns the allocations per sample.
func countAllocations() func(samples int) *float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	return func(samples int) *float64 {
		runtime.ReadMemStats(&after)
		perSample := float64(after.Mallocs-before.Mallocs) / float64(max(samples, 1))
		return &perSample
	}
}

// fill writes the input values that the peers use too.
func fill(input []float32) {
	for i := range input {
		input[i] = float32(math.Sin(float64(i)))
	}
}
