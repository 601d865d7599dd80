package server

import (
	"log/slog"
	"time"

	"krabby.dev/krabby/hal/clock"
)

// warnings logs at most one warning per second; the counters have them all. It belongs to one goroutine.
type warnings struct {
	log      *slog.Logger
	throttle clock.Throttle
}

func newWarnings(log *slog.Logger) warnings {
	return warnings{log, clock.Throttle{Period: time.Second}}
}

// warn logs msg with the number of warnings held back before it, unless it is held back itself.
func (w *warnings) warn(msg string, args ...any) {
	switch count := w.throttle.Add(1); count {
	case 0:
	case 1:
		w.log.Warn(msg, args...)
	default:
		w.log.Warn(msg, append(args, "held_back", count-1)...)
	}
}
