package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAFrameWrittenIntoItsSlotIsNotCopied(t *testing.T) {
	c := newContext(t)
	p := must[*Publisher](t)(c.NewPublisher("inproc://a"))
	s := must[*Subscriber](t)(c.NewSubscriber("inproc://a"))
	for i := range 20 {
		frame, err := p.Acquire(1000)
		if err != nil {
			t.Fatal(err)
		}
		frame = append(frame, fmt.Sprint("frame ", i)...)
		if err := p.Publish(frame); err != nil {
			t.Fatal(err)
		}
		var f Frame
		if err := s.TryReceive(&f); err != nil {
			t.Fatal(err)
		}
		if got := f.Bytes(); &got[0] != &frame[0] || string(got) != string(frame) {
			t.Errorf("frame %d is %q at %p, want %q at %p", i, got, &got[0], frame, &frame[0])
		}
		f.Release()
	}
}

func TestAHeldFrameIsNotOverwritten(t *testing.T) {
	c := newContext(t)
	const held = 3
	p := must[*Publisher](t)(c.NewPublisher("inproc://a", WithReaders(held)))
	s := must[*Subscriber](t)(c.NewSubscriber("inproc://a"))
	var frames [held]Frame
	for i := range frames {
		if err := errors.Join(p.Publish([]byte{byte(i)}), s.TryReceive(&frames[i])); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if err := p.Publish([]byte{byte(100 + i)}); err != nil {
			t.Fatalf("publishing while as many frames are held as may be: %v", err)
		}
	}
	for i := range frames {
		if got := frames[i].Bytes(); len(got) != 1 || got[0] != byte(i) {
			t.Errorf("held frame %d is %v", i, got)
		}
	}
	// One more, and one of the newest: nothing is left for the next.
	var fourth, fifth Frame
	if err := s.TryReceive(&fourth); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish([]byte{201}); err != nil { // Into the last.
		t.Fatal(err)
	}
	if err := s.TryReceive(&fifth); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Acquire(1); !errors.Is(err, ErrPinned) {
		t.Errorf("Acquire = %v, want ErrPinned", err)
	}
	if err := p.Publish([]byte{202}); !errors.Is(err, ErrPinned) {
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

// Readers come and go as fast as they can while a writer writes as fast as it can: what is read is whole and never older
// than what was read before.
func TestReadersFindWholeFramesWhileAWriterWrites(t *testing.T) {
	const readers, frames, words = 4, 20_000, 64
	r := newRing(readers + 2)
	var done atomic.Bool
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			last := uint64(0)
			for !done.Load() || r.last() != last {
				s := r.pin(last)
				if s == nil {
					continue
				}
				if s.number <= last {
					t.Errorf("frame %d after %d", s.number, last)
				}
				last = s.number
				for i := range words {
					if got := binary.LittleEndian.Uint64(s.frame[8*i:]); got != last {
						t.Errorf("word %d of frame %d is %d", i, last, got)
						break
					}
				}
				s.unpin()
			}
		})
	}
	for i := uint64(1); i <= frames; i++ {
		s := r.acquire(8 * words)
		if s == nil {
			t.Errorf("no slot for frame %d with %d readers", i, readers)
			break
		}
		for w := range words {
			binary.LittleEndian.PutUint64(s.memory[8*w:], i)
		}
		r.commit(s, s.memory[:8*words])
	}
	done.Store(true)
	all.Wait()
}

func TestAFrameOverInprocCostsNoAllocation(t *testing.T) {
	c := newContext(t)
	p := must[*Publisher](t)(c.NewPublisher("inproc://a"))
	s := must[*Subscriber](t)(c.NewSubscriber("inproc://a"))
	r := must[*Receiver](t)(c.NewReceiver("inproc://b"))
	sender := must[*Sender](t)(c.NewSender("inproc://b"))
	const bytes = 4_300_000
	command := make([]byte, 1000)
	ctx := t.Context()
	var f Frame
	step := func() {
		frame, err := p.Acquire(bytes)
		if err == nil {
			err = p.Publish(frame[:bytes])
		}
		if err := errors.Join(err, s.Receive(ctx, &f), sender.Send(command)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Receive(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // Every slot gets its memory.
		step()
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations for an observation and a command, want 0", n)
	}
	// Waiting costs none either.
	empty := func() {
		if err := s.wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(10, empty); n != 0 {
		t.Errorf("%v allocations for waiting, want 0", n)
	}
}

func TestNumbersOfReadersThatMakeNoSenseAreRefused(t *testing.T) {
	c := newContext(t)
	for _, n := range []int{-1, 0, 255} {
		if _, err := c.NewPublisher("inproc://a", WithReaders(n)); err == nil || !strings.Contains(err.Error(), "expected 1 to 254") {
			t.Errorf("%d readers: error = %v", n, err)
		}
	}
}
