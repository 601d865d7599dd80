package bus_test

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
)

// BenchmarkPublishToRead measures the time from Publish until a waiting reader has the frame.
func BenchmarkPublishToRead(b *testing.B) {
	for _, bm := range []struct {
		name     string
		endpoint string
		bytes    int
	}{
		{"inproc/1.3kB", "inproc://a", 1300},
		{"inproc/480x640", "inproc://a", 4_303_000},
		{"tcp/1.3kB", "tcp://127.0.0.1:0", 1300},
		{"tcp/480x640", "tcp://127.0.0.1:0", 4_303_000},
	} {
		b.Run(bm.name, func(b *testing.B) {
			c, err := bus.NewContext()
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			p, err := c.NewPublisher(bm.endpoint)
			if err != nil {
				b.Fatal(err)
			}
			s, err := c.NewSubscriber(p.Endpoint())
			if err != nil {
				b.Fatal(err)
			}
			if strings.HasPrefix(bm.endpoint, "tcp") {
				time.Sleep(100 * time.Millisecond)
			}
			read := make(chan time.Time)
			ctx, cancel := context.WithCancel(b.Context())
			go func() {
				defer close(read)
				var f bus.Frame
				for s.Receive(ctx, &f) == nil {
					read <- time.Now()
				}
			}()
			var took []time.Duration
			number := uint64(0)
			step := func() time.Duration {
				frame, err := p.Acquire(bm.bytes)
				if err != nil {
					b.Fatal(err)
				}
				number++ // Two equal frames in a row are one.
				binary.LittleEndian.PutUint64(frame[:8], number)
				start := time.Now()
				if err := p.Publish(frame[:bm.bytes]); err != nil {
					b.Fatal(err)
				}
				return (<-read).Sub(start)
			}
			for range 10 {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				took = append(took, step())
			}
			b.StopTimer()
			cancel()
			<-read
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}
