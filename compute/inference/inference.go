// Package inference opens everything that turns observations into actions: a policy, ONNX Runtime, a session for each graph of the
// policy, and the builder of its observation.
//
// It must not import servers, clients or backends.
package inference

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/parkour"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// Options select a policy and the way to run it.
type Options struct {
	// Policy is the policy's directory or its manifest, ONNXRuntime the ONNX Runtime library.
	Policy, ONNXRuntime string
	// Robot is the expected robot; nil accepts the built-in robot of the policy.
	Robot *robot.Robot
	// Command is checked against the policy's limits.
	Command message.NavigationCommand
	// Providers execute the graphs, in this order; empty is the CPU.
	Providers []onnx.Provider
	// AllowMissingProviders continues, with a warning, without the providers that the library lacks.
	AllowMissingProviders bool
	// Log receives warnings; nil discards them.
	Log *slog.Logger
}

// Inference is an open policy. It must be closed.
type Inference struct {
	Policy  *policy.Policy
	Runtime *onnx.Runtime
	Builder runner.Builder
	// Model is the session of the policy's main graph.
	Model    *onnx.Session
	sessions map[string]*onnx.Session // By the name of the graph.
}

// Open verifies the policy, loads ONNX Runtime and makes the sessions. Every error is the caller's to correct.
func Open(o Options) (_ *Inference, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	i := &Inference{sessions: map[string]*onnx.Session{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.Close())
		}
	}()
	if i.Policy, err = policy.Load(o.Policy, o.Robot); err != nil {
		return nil, err
	}
	if err := o.check(i.Policy); err != nil {
		return nil, err
	}
	if i.Runtime, err = onnx.Open(o.ONNXRuntime); err != nil {
		return nil, err
	}
	if err := i.newSessions(&o); err != nil {
		return nil, err
	}
	i.Model = i.sessions[policy.PolicyGraph]
	i.Builder, err = i.newBuilder(o.Log)
	return i, err
}

func (i *Inference) newSessions(o *Options) (err error) {
	var options []onnx.Option
	if len(o.Providers) > 0 {
		options = append(options, onnx.WithProviders(o.Providers...))
	}
	if o.AllowMissingProviders {
		options = append(options, onnx.WithProviderFallback(func(p onnx.Provider, err error) {
			o.Log.Warn("continuing without a provider", "provider", p, "err", err)
		}))
	}
	for name := range i.Policy.Graphs {
		if i.sessions[name], err = i.Runtime.NewSession(i.Policy, append(options, onnx.WithGraph(name))...); err != nil {
			delete(i.sessions, name)
			return err
		}
	}
	return nil
}

// newBuilder makes the builder of the policy's observation, which may run graphs of its own.
func (i *Inference) newBuilder(log *slog.Logger) (runner.Builder, error) {
	if i.Policy.Observation.Provider == parkour.Provider {
		return newParkour(log, i.Policy, i.sessions)
	}
	return observation.New(i.Policy)
}

// check checks the policy before large files are loaded.
func (o *Options) check(p *policy.Policy) error {
	if o.Robot != nil && p.Robot.Name != o.Robot.Name {
		return fmt.Errorf("--robot: found %q, expected %q, the robot of the policy in %s", o.Robot.Name, p.Robot.Name, o.Policy)
	}
	if err := observation.CheckCommand(p, o.Command); err != nil {
		return fmt.Errorf("--command: %w", err)
	}
	if name := p.Observation.Provider; name != "" && name != parkour.Provider {
		return &policy.Error{File: p.Dir, Field: "observation.provider", Found: fmt.Sprintf("%q", name), Expected: fmt.Sprintf("%q", parkour.Provider)}
	}
	if slices.ContainsFunc(p.Observation.Terms, func(t policy.Term) bool { return t.Term == policy.TermHeightScan }) {
		o.Log.Warn("the policy reads a height scan, which no sensor provides: assuming flat ground")
	}
	return nil
}

func newParkour(log *slog.Logger, p *policy.Policy, sessions map[string]*onnx.Session) (runner.Builder, error) {
	var options []parkour.Option
	graphs := map[string]parkour.Model{}
	for name, session := range sessions {
		graphs[name] = session
	}
	if _, student := graphs[parkour.DepthEncoderGraph]; !student {
		log.Warn("the policy reads a height scan, which this backend does not provide: assuming flat ground")
		options = append(options, parkour.WithScanner(parkour.FlatScanner(parkour.NominalHeightM)))
	}
	return parkour.New(p, graphs, options...)
}

// Close releases the sessions and the library.
func (i *Inference) Close() error {
	var errs []error
	for _, session := range i.sessions {
		errs = append(errs, session.Close())
	}
	if i.Runtime != nil {
		errs = append(errs, i.Runtime.Close())
	}
	return errors.Join(errs...)
}
