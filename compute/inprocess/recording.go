package inprocess

import (
	"log/slog"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/hal/message"
)

// recording is what --record asks for; nil is none.
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

// observer returns who is told of each action, nil for nobody.
func (r *recording) observer() runner.Observer {
	if r == nil {
		return nil
	}
	return func(o *message.Observation, command message.NavigationCommand, input, action []float32) {
		r.recorder.Step(o, command, input, action)
		if steps, dropped := r.recorder.Steps(); dropped == 1 {
			r.log.Warn("the recording is full: leaving out all that follows", "file", r.path, "steps", steps)
		}
	}
}

// write writes what there is, once the loop has ended.
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
