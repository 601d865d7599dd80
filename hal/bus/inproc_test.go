package bus_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
)

func TestAcquire_inproc_notCopied(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a"))
	s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("inproc://a"))
	for i := range 20 {
		frame, err := p.Acquire(1000)
		if err != nil {
			t.Fatal(err)
		}
		frame = append(frame, fmt.Sprint("frame ", i)...)
		if err := p.Publish(frame); err != nil {
			t.Fatal(err)
		}
		var f bus.Frame
		if err := s.TryReceive(&f); err != nil {
			t.Fatal(err)
		}
		if got := f.Bytes(); &got[0] != &frame[0] || string(got) != string(frame) {
			t.Errorf("frame %d is %q at %p, want %q at %p", i, got, &got[0], frame, &frame[0])
		}
		f.Release()
	}
}

func TestFrame_held_notOverwritten(t *testing.T) {
	c := bustest.NewContext(t)
	const held = 3
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a", bus.WithReaders(held)))
	s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("inproc://a"))
	var frames [held]bus.Frame
	for i := range frames {
		if err := errors.Join(p.Publish([]byte{byte(i)}), s.TryReceive(&frames[i])); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if err := p.Publish([]byte{byte(100 + i)}); err != nil {
			t.Fatalf("publishing while the maximum of frames is held: %v", err)
		}
	}
	for i := range frames {
		if got := frames[i].Bytes(); len(got) != 1 || got[0] != byte(i) {
			t.Errorf("held frame %d is %v", i, got)
		}
	}
	// With one more, and one for the newest frame, there is no slot for the next one.
	var fourth, fifth bus.Frame
	if err := s.TryReceive(&fourth); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish([]byte{201}); err != nil { // Into the last.
		t.Fatal(err)
	}
	if err := s.TryReceive(&fifth); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Acquire(1); !errors.Is(err, bus.ErrPinned) {
		t.Errorf("Acquire = %v, want ErrPinned", err)
	}
	if err := p.Publish([]byte{202}); !errors.Is(err, bus.ErrPinned) {
		t.Errorf("Publish = %v, want ErrPinned", err)
	}
	if got := p.Dropped(); got != 1 {
		t.Errorf("%d frames dropped, want 1", got)
	}
	if got := fifth.Bytes(); got[0] != 201 {
		t.Errorf("the newest frame is %v, want 201", got)
	}
	frames[0].Release()
	if err := errors.Join(p.Publish([]byte{203}), s.TryReceive(&frames[0])); err != nil || frames[0].Bytes()[0] != 203 {
		t.Errorf("after one was released: %v, %v, want 203", frames[0].Bytes(), err)
	}
}

func TestReceive_inproc_noAllocation(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a"))
	s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("inproc://a"))
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://b"))
	sender := bustest.Must[*bus.Sender](t)(c.NewSender("inproc://b"))
	checkNoAllocation(t, p, s, sender, r)
	// Waiting allocates nothing either.
	wait := func() {
		if err := bus.Wait(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(10, wait); n != 0 {
		t.Errorf("%v allocations for waiting, want 0", n)
	}
}

func TestReceive_tcp_noAllocation(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
	s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint()))
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
	sender := bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint()))
	meet(t, p.Publish, &subscriber{Subscriber: s})
	meet(t, sender.Send, &receiver{r})
	checkNoAllocation(t, p, s, sender, r)
}

// checkNoAllocation sends and receives observations and commands.
func checkNoAllocation(t *testing.T, p *bus.Publisher, s *bus.Subscriber, sender *bus.Sender, r *bus.Receiver) {
	t.Helper()
	const bytes = 4_300_000
	command := make([]byte, 1000)
	ctx := t.Context()
	var f bus.Frame
	number := uint64(0)
	step := func() {
		frame, err := p.Acquire(bytes)
		if err != nil {
			t.Fatal(err)
		}
		frame = frame[:bytes]
		number++ // Two equal frames in a row count as one.
		binary.LittleEndian.PutUint64(frame, number)
		binary.LittleEndian.PutUint64(command, number)
		if err := errors.Join(p.Publish(frame), s.Receive(ctx, &f), sender.Send(command)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Receive(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // So that every slot has its memory.
		step()
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations for an observation and a command, want 0", n)
	}
}

func TestWithReaders_outOfRange_error(t *testing.T) {
	c := bustest.NewContext(t)
	for _, n := range []int{-1, 0, 255} {
		if _, err := c.NewPublisher("inproc://a", bus.WithReaders(n)); err == nil || !strings.Contains(err.Error(), "expected 1 to 254") {
			t.Errorf("%d readers: error = %v", n, err)
		}
	}
}
