package robotrun

import (
	"log/slog"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/message"
)

// recording records a run for --record. It is nil without the flag.
type recording struct {
	recorder *rollout.Recorder
	path     string
	log      *slog.Logger
}

func newRecording(path string, p *policy.Policy, log *slog.Logger) *recording {
	if path == "" {
		return nil
	}
	return &recording{rollout.NewRecorder(p.Robot, p.Observation.Size, len(p.DefaultPoseRad)), path, log}
}

// observer returns the observer of actions, or nil.
func (r *recording) observer() runner.Observer {
	if r == nil {
		return nil
	}
	return func(o *message.Observation, command message.NavigationCommand, input, action []float32) {
		r.recorder.Step(o, command, input, action)
		if steps, dropped := r.recorder.Steps(); dropped == 1 {
			r.log.Warn("the recording is full: leaving out later steps", "file", r.path, "steps", steps)
		}
	}
}

// write writes the file, after the loop has ended.
func (r *recording) write() error {
	if r == nil {
		return nil
	}
	if err := r.recorder.Write(r.path); err != nil {
		return err
	}
	steps, dropped := r.recorder.Steps()
	r.log.Info("recorded", "file", r.path, "steps", steps, "left_out", dropped)
	return nil
}
