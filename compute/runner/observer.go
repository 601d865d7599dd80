package runner

import "krabby.dev/krabby/hal/message"

// Observer is told of each step that led to an action, in the loop and after the action was sent: the observation, the
// command, the model's input that was built of them and the action. It must not keep what it is given, nor take long.
type Observer func(o *message.Observation, command message.NavigationCommand, input, action []float32)

// WithObserver sets who is told of each action; the default is nobody.
func WithObserver(tell Observer) Option { return func(r *Runner) { r.observer = tell } }
