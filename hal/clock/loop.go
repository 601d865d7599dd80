package clock

import (
	"context"
	"log/slog"
	"runtime"
	"time"
)

// RunLoop calls step at each deadline of p until ctx is done. missed is the number of deadlines missed since the last step.
// RunLoop logs missed deadlines at most once a second. It locks the goroutine to its thread, which keeps what package realtime
// has set on the thread.
func RunLoop(ctx context.Context, p *Pacer, log *slog.Logger, step func(missed int)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	throttle := Throttle{Period: time.Second}
	warn := func(count int) {
		if count > 0 {
			log.Warn("missed deadlines", "count", count)
		}
	}
	defer func() { warn(throttle.Flush()) }()
	for {
		missed, err := p.Wait(ctx)
		if err != nil {
			return
		}
		warn(throttle.Add(missed))
		step(missed)
	}
}
