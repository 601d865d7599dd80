// Package inprocess runs a robot and a policy in one process: the server of the hardware abstraction layer on a backend,
// the client, and the policy's inference, over inproc ZeroMQ. It is what the programs have in common, from the command
// line to the report; a program is a name, a description and, if it likes, a verdict on the report.
//
// It must never be imported by anything but programs and what judges their reports.
package inprocess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"krabby.dev/krabby/compute/joystick"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/parkour"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/cmdline"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/metrics"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
)

// The exit codes.
const (
	ExitOK     = cmdline.ExitOK
	ExitFailed = cmdline.ExitFailed // The run failed, or the verdict on it was bad.
	ExitUsage  = cmdline.ExitUsage  // There was no run: what the caller gave is wrong.
)

// Program is what sets one program apart from another.
type Program struct {
	Name        string
	Description string
	// Verdict, if any, judges the report of a run; its error, a line for each complaint, makes the exit code ExitFailed.
	Verdict func(*Report) error
}

const (
	observations = "inproc://hal_observation"
	commands     = "inproc://hal_commands"
)

// Report is what a run leaves on standard output.
type Report struct {
	Policy          string  `json:"policy"`
	Robot           string  `json:"robot"`
	Backend         string  `json:"backend"`
	RateRequestedHz float64 `json:"rate_requested_hz"`
	DurationS       float64 `json:"duration_s"`
	runner.Stats
	Server server.Stats `json:"server"`
	Client client.Stats `json:"client"`
}

// Main is the whole program, with an exit code: it runs until its --duration is over or ctx is done, and writes its
// report as one JSON object to stdout, its log and its errors to stderr.
func Main(ctx context.Context, program Program, args []string, stdout, stderr io.Writer) int {
	line := cmdline.Program{Name: program.Name, Description: program.Description}
	fail := func(code int, err error) int { return line.Fail(stderr, code, err) }
	var f flags
	helped, err := line.Parse(&f, args, stdout)
	if err != nil {
		return fail(ExitUsage, err)
	}
	if helped {
		return ExitOK
	}
	if f.NewKeys != "" {
		keys, err := bus.NewKeys()
		if err == nil {
			err = keys.Write(f.NewKeys)
		}
		if err != nil {
			return fail(ExitFailed, err)
		}
		return ExitOK
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: f.LogLevel}))

	inference, err := open(f, log)
	if err != nil {
		return fail(ExitUsage, err)
	}
	r, err := locomote(ctx, f, inference, log)
	if err := errors.Join(err, inference.Close()); err != nil {
		return fail(ExitFailed, err)
	}
	if err := json.NewEncoder(stdout).Encode(r); err != nil {
		return fail(ExitFailed, fmt.Errorf("writing the report: %w", err))
	}
	if program.Verdict != nil {
		if err := program.Verdict(r); err != nil {
			return fail(ExitFailed, err)
		}
	}
	return ExitOK
}

// inference is everything that turns observations into actions.
type inference struct {
	policy   *policy.Policy
	builder  runner.Builder
	runtime  *onnx.Runtime
	sessions map[string]*onnx.Session // By the name of the graph.
}

// open checks what the flags name and makes it ready. Every error is the caller's to mend.
func open(f flags, log *slog.Logger) (_ *inference, err error) {
	i := &inference{}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Close())
		}
	}()
	if _, err := robot.ByName(f.Robot); err != nil {
		return nil, fmt.Errorf("--robot: %w", err)
	}
	if i.policy, err = policy.Load(cmdline.Locate(f.Policy)); err != nil {
		return nil, err
	}
	if i.policy.Robot.Name != f.Robot {
		return nil, fmt.Errorf("--robot: found %q, expected %q, the robot of the policy in %s", f.Robot, i.policy.Robot.Name, f.Policy)
	}
	build, err := builderOf(f, i.policy, log)
	if err != nil {
		return nil, err
	}
	if i.runtime, err = onnx.Open(cmdline.Locate(f.ONNXRuntime)); err != nil {
		return nil, err
	}
	options := []onnx.Option{onnx.WithProviders(f.Providers...)}
	if f.AllowCPU {
		options = append(options, onnx.WithMissingProviders(func(p onnx.Provider, err error) {
			log.Warn("going on without a provider", "provider", p, "err", err)
		}))
	}
	i.sessions = map[string]*onnx.Session{}
	for name := range i.policy.Graphs {
		if i.sessions[name], err = i.runtime.NewSession(i.policy, append(options, onnx.WithGraph(name))...); err != nil {
			return nil, err
		}
	}
	if i.builder, err = build(i.sessions); err != nil {
		return nil, err
	}
	return i, f.Deadlines.prepare() // Last: memory is locked once everything is in it.
}

// builderOf finds out who builds the policy's observation, before anything large is loaded, and returns how to make it.
func builderOf(f flags, p *policy.Policy, log *slog.Logger) (func(map[string]*onnx.Session) (runner.Builder, error), error) {
	switch p.Observation.Kind {
	case joystick.Kind:
		b, err := joystick.New(p)
		return func(map[string]*onnx.Session) (runner.Builder, error) { return b, nil }, err
	case parkour.Kind:
		if err := parkour.CheckCommand(message.NavigationCommand(f.Command)); err != nil {
			return nil, fmt.Errorf("--command: %w", err)
		}
		return func(sessions map[string]*onnx.Session) (runner.Builder, error) {
			var options []parkour.Option
			graphs := map[string]parkour.Graph{}
			for name, session := range sessions {
				graphs[name] = session
			}
			if _, student := graphs[parkour.DepthEncoderGraph]; !student {
				log.Warn("the policy wants to know the ground, which this backend does not: taking it for flat")
				options = append(options, parkour.WithScanner(parkour.Flat(parkour.NominalHeightM)))
			}
			return parkour.New(p, graphs, options...)
		}, nil
	}
	return nil, &policy.Error{File: p.Dir, Field: "observation.kind", Found: fmt.Sprintf("%q", p.Observation.Kind), Expected: fmt.Sprintf("%q or %q", joystick.Kind, parkour.Kind)}
}

// Close frees what was opened.
func (i *inference) Close() error {
	var errs []error
	for _, session := range i.sessions {
		if session != nil {
			errs = append(errs, session.Close())
		}
	}
	if i.runtime != nil {
		errs = append(errs, i.runtime.Close())
	}
	return errors.Join(errs...)
}

// locomote runs both sides until the duration is over or ctx is done.
func locomote(ctx context.Context, f flags, i *inference, log *slog.Logger) (_ *Report, err error) {
	b, err := bus.NewContext()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()

	meters := metrics.New()
	hal, err := newServer(f, i.policy.Robot, b, meters, log.With("part", "server"))
	if err != nil {
		return nil, err
	}
	link, err := newClient(i.policy.Robot, b, meters)
	if err != nil {
		return nil, err
	}
	rateHz := f.Rate
	if rateHz == 0 {
		rateHz = i.policy.ControlRateHz
	}
	if rateHz != i.policy.ControlRateHz {
		log.Warn("the policy was trained for another rate", "rate_hz", rateHz, "trained_hz", i.policy.ControlRateHz)
	}
	recording := newRecording(cmdline.FromCaller(f.Record), i.policy, log)
	loop, err := runner.New(i.policy, link, i.builder, i.sessions[policy.PolicyGraph],
		runner.WithRate(rateHz),
		runner.WithCommand(message.NavigationCommand(f.Command)),
		runner.WithLogger(log.With("part", "policy")),
		runner.WithObserver(recording.observer()),
	)
	if err != nil {
		return nil, err
	}

	if f.Metrics != "" {
		meters.Watch(hal, link)
		served, serveErr := meters.Serve(f.Metrics)
		if serveErr != nil {
			return nil, serveErr
		}
		defer func() { err = errors.Join(err, served.Close()) }()
		log.Info("serving metrics", "url", served.URL())
	}
	start := time.Now()
	if f.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.Duration)
		defer cancel()
	}
	log.Info("running", "policy", i.policy.Name, "robot", i.policy.Robot.Name, "backend", f.Backend,
		"rate_hz", rateHz, "hal_rate_hz", f.HALRate, "onnxruntime", i.runtime.Version())
	if err := runBoth(ctx, f, hal, loop); err != nil {
		return nil, err
	}
	duration := time.Since(start)
	log.Info("stopped", "after", duration.Round(time.Millisecond))
	if err := recording.write(); err != nil {
		return nil, err
	}

	return &Report{
		Policy:          i.policy.Name,
		Robot:           i.policy.Robot.Name,
		Backend:         f.Backend,
		RateRequestedHz: rateHz,
		DurationS:       duration.Seconds(),
		Stats:           loop.Stats(),
		Server:          hal.Stats(),
		Client:          link.Stats(),
	}, nil
}

// runBoth runs the robot's loop and the policy's, each on a thread of its own, which ends with it.
func runBoth(ctx context.Context, f flags, hal *server.Server, loop *runner.Runner) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	var serverErr, policyErr error
	both.Go(func() {
		if serverErr = f.Deadlines.server().Enter(); serverErr != nil {
			cancel()
			return
		}
		hal.Run(ctx)
	})
	both.Go(func() {
		if policyErr = f.Deadlines.policy().Enter(); policyErr != nil {
			cancel()
			return
		}
		// The policy's deadlines lie between the server's, where the newest observation is there and not just coming.
		offset := clock.NewPacer(time.Duration(float64(time.Second) / f.HALRate / 4))
		for range 2 {
			if _, err := offset.Wait(ctx); err != nil {
				return
			}
		}
		loop.Run(ctx)
	})
	both.Wait()
	return errors.Join(serverErr, policyErr)
}

func newServer(f flags, r *robot.Robot, b *bus.Context, meters *metrics.Metrics, log *slog.Logger) (*server.Server, error) {
	out, err := b.NewPublisher(observations)
	if err != nil {
		return nil, err
	}
	in, err := b.NewReceiver(commands)
	if err != nil {
		return nil, err
	}
	opts, err := f.Links.open(b)
	if err != nil {
		return nil, err
	}
	// The flag's enum allows only this backend.
	backend := synthetic.New(r, time.Duration(float64(time.Second)/f.HALRate))
	return server.New(r, backend, out, in, append(opts, server.WithRate(f.HALRate), server.WithLogger(log),
		server.WithMeters(meters.Tick, meters.CommandAge))...)
}

func newClient(r *robot.Robot, b *bus.Context, meters *metrics.Metrics) (*client.Client, error) {
	in, err := b.NewSubscriber(observations)
	if err != nil {
		return nil, err
	}
	out, err := b.NewSender(commands)
	if err != nil {
		return nil, err
	}
	return client.New(r, in, out, client.WithMeter(meters.ObservationAge)), nil
}
