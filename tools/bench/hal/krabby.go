package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/tools/bench/latency"
)

// measureKrabby measures this repository's hardware abstraction layer.
func measureKrabby(ctx context.Context, m measureName, transport string, v variant, duration time.Duration) (_ latency.Sample, err error) {
	s, err := newSystem(ctx, transport, v)
	if err != nil {
		return latency.Sample{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, duration+time.Minute) // A command without an answer must not block forever.
	defer cancel()
	if m == age {
		return s.measureAge(ctx, duration)
	}
	return s.measureLatency(ctx, m == command, duration)
}

// reading is an observation that the client has read.
type reading struct {
	sequence uint64
	age      time.Duration
}

// reader is the client's side: it reads observations, and answers each with a command if answer is set.
type reader struct {
	read  chan reading
	ended chan error
}

func (s *system) startReader(ctx context.Context, answer bool) *reader {
	r := &reader{read: make(chan reading, 1), ended: make(chan error, 1)}
	go func() { r.ended <- r.run(ctx, s, answer) }()
	return r
}

func (r *reader) run(ctx context.Context, s *system, answer bool) error {
	var in message.Observation
	cmd := message.NewJointCommand(robot.Hex())
	for {
		age, err := s.Client.Latest(ctx, &in)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case answer:
			cmd.ObservationSequence = in.Sequence
			err = s.Client.Send(cmd)
		default:
			r.read <- reading{in.Sequence, age}
		}
		if err != nil {
			return err
		}
	}
}

// wait returns the age of observation sequence when it was read. It is not ok for a lost observation.
func (r *reader) wait(ctx context.Context, sequence uint64, lost <-chan time.Time) (age time.Duration, ok bool, err error) {
	for {
		select {
		case got := <-r.read:
			if got.sequence == sequence {
				return got.age, true, nil
			}
		case err := <-r.ended:
			return 0, false, errors.Join(errors.New("the reader ended"), err)
		case <-lost:
			return 0, false, nil
		case <-ctx.Done():
			return 0, false, ctx.Err()
		}
	}
}

// measureLatency publishes an observation as soon as the one before has been read, or answered and the answer applied.
func (s *system) measureLatency(ctx context.Context, answer bool, duration time.Duration) (latency.Sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := s.startReader(ctx, answer)
	// Room for all samples, so that storing them does not count as an allocation.
	sample := latency.Sample{Took: make([]time.Duration, 0, int(duration/(5*time.Microsecond)))}
	lost := time.NewTimer(lostAfter)
	machine := clock.New()
	exchange := func() (took time.Duration, ok bool, err error) {
		if err := s.robot.prepare(ctx); err != nil {
			return 0, false, err
		}
		lost.Reset(lostAfter)
		stampNs := machine.NowNs()
		sequence, err := s.publish(ctx)
		if err != nil {
			return 0, false, err
		}
		if answer {
			err := s.apply(ctx)
			return time.Duration(machine.NowNs() - stampNs), err == nil, err
		}
		return r.wait(ctx, sequence, lost.C)
	}
	var allocations func(int) *float64
	number := 0
	for end := time.Now().Add(duration); time.Now().Before(end); number++ {
		if number == warmUp {
			allocations = countAllocations()
		}
		if !s.robot.variant.busy {
			time.Sleep(pause)
		}
		took, ok, err := exchange()
		switch {
		case err != nil:
			return latency.Sample{}, err
		case !ok:
			sample.Lost++
		case number >= warmUp:
			sample.Took = append(sample.Took, took)
		}
	}
	if len(sample.Took) == 0 {
		return latency.Sample{}, errors.New("nothing was measured: every message was lost")
	}
	sample.Allocations = allocations(number - warmUp)
	cancel()
	return sample, <-r.ended
}

// countAllocations starts counting; the result returns the allocations per message.
func countAllocations() func(messages int) *float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	return func(messages int) *float64 {
		runtime.ReadMemStats(&after)
		perMessage := float64(after.Mallocs-before.Mallocs) / float64(messages)
		return &perMessage
	}
}

// measureAge reads more slowly than the server publishes and measures the age of the observations.
func (s *system) measureAge(ctx context.Context, duration time.Duration) (latency.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		clock.RunLoop(ctx, clock.NewPacer(writerPeriod), slog.New(slog.DiscardHandler), func(int) {
			err := s.robot.prepare(ctx)
			if err == nil {
				_, err = s.publish(ctx)
			}
			if err != nil {
				ended <- err
				cancel()
			}
		})
	}()
	var sample latency.Sample
	var in message.Observation
	pacer := clock.NewPacer(readerPeriod)
	for number := 0; ; number++ {
		if _, err := pacer.Wait(ctx); err != nil {
			break
		}
		took, err := s.Client.Latest(ctx, &in)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			cancel()
			return latency.Sample{}, errors.Join(err, <-ended)
		}
		if number >= warmUp {
			sample.Took = append(sample.Took, took)
		}
	}
	if err := <-ended; err != nil {
		return latency.Sample{}, err
	}
	if len(sample.Took) == 0 {
		return latency.Sample{}, errors.New("nothing was measured: no observation was read")
	}
	return sample, nil
}
