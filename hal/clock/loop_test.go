package clock

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 85*time.Millisecond)
		defer cancel()
		var logged bytes.Buffer
		work := map[int]time.Duration{2: 35 * time.Millisecond} // How long the third step takes.
		var missed []int
		RunLoop(ctx, NewPacer(10*time.Millisecond, WithSleep(punctual)), slog.New(slog.NewTextHandler(&logged, nil)), func(m int) {
			time.Sleep(work[len(missed)])
			missed = append(missed, m)
		})
		if want := []int{0, 0, 0, 3, 0, 0, 0}; !slices.Equal(missed, want) {
			t.Errorf("missed deadlines before each step = %v, want %v", missed, want)
		}
		if n := bytes.Count(logged.Bytes(), []byte("msg=\"missed deadlines\" count=3")); n != 1 {
			t.Errorf("log = %q, want one line with the 3 missed deadlines", &logged)
		}
	})
}
