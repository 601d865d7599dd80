// Package robotrun is the command line that locomotion and gameloop share: it runs a robot and a policy in one process and prints a
// report. A program adds its name and, optionally, a check of the report.
//
// Only programs may import it.
package robotrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"krabby.dev/krabby/cmd/internal/robotflag"
	"krabby.dev/krabby/compute/inference"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/backends"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/metrics"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/internal/bringup"
	"krabby.dev/krabby/internal/cli"
)

// Program returns a program of that name. check, if not nil, checks the report of a run; an error sets the exit code ExitFailed.
func Program(name, description string, check func(*bringup.Report) error) cli.Program {
	f := &flags{check: check, factories: backends.All()}
	names := backends.Names(f.factories)
	for _, factory := range f.factories {
		f.Plugins = append(f.Plugins, factory)
	}
	return cli.Program{
		Name:        name,
		Description: description,
		Flags:       f,
		Vars:        kong.Vars{"backend": backends.Default, "backends": strings.Join(names, ",")},
		Deprecated:  map[string]string{"cpu": "cpu-affinity", "peer": "authorized-key"},
	}
}

// runCmd is the default command: it runs the robot.
type runCmd struct{}

// Run runs the robot until --duration is over or ctx is done. It writes the report as one JSON object to Out, logs to Err.
func (runCmd) Run(ctx context.Context, f *flags, console *cli.Console) error {
	if f.NewKeys != "" {
		console.Progress("warning: --new-keys is deprecated and will be removed in the next version: use the command keygen")
		return (&keygenCmd{File: f.NewKeys}).Run()
	}
	log := slog.New(slog.NewTextHandler(console.Err, &slog.HandlerOptions{Level: f.LogLevel}))
	r, err := open(ctx, f, log)
	if err != nil {
		return cli.Usage(err)
	}
	report, err := r.run(ctx)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if err := json.NewEncoder(console.Out).Encode(report); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if f.check != nil {
		return f.check(report)
	}
	return nil
}

// keygenCmd makes a pair of keys.
type keygenCmd struct {
	File string `arg:"" help:"File of the secret key; the public key goes to FILE.pub. Existing files are not overwritten."`
}

// Run writes the keys.
func (k *keygenCmd) Run() error {
	keys, err := bus.NewKeys()
	if err != nil {
		return err
	}
	return keys.Write(cli.CallerPath(k.File))
}

// run is a system that is ready to run.
type run struct {
	flags     *flags
	log       *slog.Logger
	inference *inference.Inference
	system    *bringup.System
	meters    *metrics.Metrics
	recording *recording
	rateHz    float64
}

// open verifies and opens the files and endpoints of the flags. All errors are usage errors.
func open(ctx context.Context, f *flags, log *slog.Logger) (_ *run, err error) {
	r := &run{flags: f, log: log, meters: metrics.New()}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	model, err := robotflag.Open(f.Robot, f.Limits)
	if err != nil {
		return nil, err
	}
	if r.inference, err = inference.Open(inference.Options{
		Policy:                cli.Locate(f.Policy),
		ONNXRuntime:           cli.Locate(f.ONNXRuntime),
		Robot:                 model,
		Command:               message.NavigationCommand(f.Command),
		Providers:             f.Providers,
		AllowMissingProviders: f.AllowCPU,
		Log:                   log,
	}); err != nil {
		return nil, err
	}
	if err := r.bringUp(ctx); err != nil {
		return nil, err
	}
	return r, f.Deadlines.prepare() // Last, because it locks the memory that the calls above allocate.
}

// bringUp creates the backend and the system around it.
func (r *run) bringUp(ctx context.Context) error {
	f, p := r.flags, r.inference.Policy
	factory, err := backends.ByName(f.factories, f.Backend)
	if err != nil {
		return fmt.Errorf("--backend: %w", err)
	}
	source := clock.New()
	selected, err := factory.New(backend.Config{
		Robot:  p.Robot,
		Period: time.Duration(float64(time.Second) / f.HALRate),
		Clock:  source,
		Locate: cli.Locate,
	})
	if err != nil {
		return err
	}
	r.rateHz = f.Rate
	if r.rateHz == 0 {
		r.rateHz = p.ControlRateHz
	}
	if r.rateHz != p.ControlRateHz {
		r.log.Warn("the policy was trained for another rate", "rate_hz", r.rateHz, "trained_hz", p.ControlRateHz)
	}
	r.recording = newRecording(cli.CallerPath(f.Record), p, r.log)
	r.system, err = bringup.New(ctx, bringup.Config{
		Robot:     p.Robot,
		Backend:   selected,
		HALRateHz: f.HALRate,
		Clock:     source,
		Links:     f.Links.open,
		Server:    []server.Option{server.WithLogger(r.log.With("part", "server")), server.WithMeters(r.meters.Step, r.meters.CommandAge)},
		Client:    []client.Option{client.WithMeter(r.meters.ObservationAge)},
		Runner: []runner.Option{
			runner.WithRate(r.rateHz),
			runner.WithCommand(message.NavigationCommand(f.Command)),
			runner.WithLogger(r.log.With("part", "policy")),
			runner.WithObserver(r.recording.observer()),
		},
		Policy: &bringup.Policy{Policy: p, Builder: r.inference.Builder, Model: r.inference.Model},
	})
	return err
}

// run runs the system until the duration is over or ctx is done.
func (r *run) run(ctx context.Context) (_ *bringup.Report, err error) {
	f, p, s := r.flags, r.inference.Policy, r.system
	if f.Metrics != "" {
		r.meters.Watch(s.Server, s.Client)
		served, err := r.meters.Serve(f.Metrics)
		if err != nil {
			return nil, err
		}
		defer func() { _ = served.Close() }()
		r.log.Info("serving metrics", "url", served.URL())
	}
	start := time.Now()
	if f.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.Duration)
		defer cancel()
	}
	r.log.Info("running", "policy", p.Name, "robot", p.Robot.Name, "backend", f.Backend,
		"rate_hz", r.rateHz, "hal_rate_hz", f.HALRate, "onnxruntime", r.inference.Runtime.Version())
	if err := s.Run(ctx, bringup.Threads{Server: f.Deadlines.server().Apply, Runner: f.Deadlines.policy().Apply}); err != nil {
		return nil, err
	}
	duration := time.Since(start)
	r.log.Info("stopped", "after", duration.Round(time.Millisecond))
	if err := r.recording.write(); err != nil {
		return nil, err
	}
	return &bringup.Report{
		Policy:          p.Name,
		PolicySettings:  bringup.Settings(p),
		Robot:           p.Robot.Name,
		Limits:          p.Robot.LimitsName,
		Backend:         f.Backend,
		RateRequestedHz: r.rateHz,
		DurationS:       duration.Seconds(),
		Stats:           s.Runner.Stats(),
		Server:          s.Server.Stats(),
		Client:          s.Client.Stats(),
	}, nil
}

// Close closes the system and then the inference.
func (r *run) Close() error {
	var err error
	if r.system != nil {
		err = r.system.Close()
	}
	if r.inference != nil {
		err = errors.Join(err, r.inference.Close())
	}
	return err
}
