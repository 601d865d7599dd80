package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds waits for what must happen; it is not a performance claim.
const patience = 10 * time.Second

func newContext(t *testing.T) *Context {
	t.Helper()
	c, err := NewContext()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func receive(t *testing.T, m interface {
	Receive(context.Context) ([]byte, error)
}) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	frame, err := m.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(frame)
}

func TestAnIdleReaderFindsOnlyTheNewestFrame(t *testing.T) {
	tests := []struct {
		name string
		dial func(t *testing.T, c *Context) (write func([]byte) error, read *mailbox)
	}{
		{"publisher to subscriber", func(t *testing.T, c *Context) (func([]byte) error, *mailbox) {
			p := must[*Publisher](t)(c.NewPublisher("inproc://a"))
			s := must[*Subscriber](t)(c.NewSubscriber("inproc://a"))
			return p.Publish, &s.mailbox
		}},
		{"sender to receiver", func(t *testing.T, c *Context) (func([]byte) error, *mailbox) {
			r := must[*Receiver](t)(c.NewReceiver("inproc://a"))
			s := must[*Sender](t)(c.NewSender("inproc://a"))
			return s.Send, &r.mailbox
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write, read := tt.dial(t, newContext(t))
			for i := 1; i <= 100; i++ {
				if err := write([]byte(strconv.Itoa(i))); err != nil {
					t.Fatal(err)
				}
			}
			if got := receive(t, read); got != "100" {
				t.Errorf("after 1..100 the reader finds %q, want 100", got)
			}
			if frame, err := read.TryReceive(); !errors.Is(err, ErrEmpty) {
				t.Errorf("after the newest frame the reader finds %q, %v, want ErrEmpty", frame, err)
			}
			if err := write([]byte("101")); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, read); got != "101" {
				t.Errorf("the next frame is %q, want 101", got)
			}
		})
	}
}

func TestEverySubscriberGetsTheFirstFrameAfterItCame(t *testing.T) {
	c := newContext(t)
	p := must[*Publisher](t)(c.NewPublisher("inproc://a"))
	for i := range 3 {
		s := must[*Subscriber](t)(c.NewSubscriber("inproc://a"))
		want := fmt.Sprint("frame ", i)
		if err := p.Publish([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, s); got != want {
			t.Errorf("subscriber %d finds %q, want %q", i, got, want)
		}
	}
}

func TestTheReceiverHasOneMailboxForEachSender(t *testing.T) {
	c := newContext(t)
	r := must[*Receiver](t)(c.NewReceiver("inproc://a"))
	for _, name := range []string{"x", "y"} {
		s := must[*Sender](t)(c.NewSender("inproc://a"))
		for i := range 3 {
			if err := s.Send([]byte(fmt.Sprint(name, i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[string]bool{receive(t, r): true, receive(t, r): true}
	if !got["x2"] || !got["y2"] {
		t.Errorf("frames = %v, want x2 and y2", got)
	}
}

func TestAnEmptyFrameIsAFrame(t *testing.T) {
	c := newContext(t)
	r := must[*Receiver](t)(c.NewReceiver("inproc://a"))
	s := must[*Sender](t)(c.NewSender("inproc://a"))
	if err := s.Send(nil); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, r); got != "" {
		t.Errorf("frame = %q, want an empty one", got)
	}
}

func TestNothingBlocksWithoutAPeer(t *testing.T) {
	c := newContext(t)
	p := must[*Publisher](t)(c.NewPublisher("inproc://a"))
	r := must[*Receiver](t)(c.NewReceiver("inproc://b"))
	if err := p.Publish([]byte("x")); err != nil {
		t.Errorf("Publish = %v, want no error", err)
	}
	s := must[*Subscriber](t)(c.NewSubscriber("inproc://a"))
	if _, err := s.TryReceive(); !errors.Is(err, ErrEmpty) {
		t.Errorf("TryReceive = %v, want ErrEmpty", err)
	}
	if _, err := r.TryReceive(); !errors.Is(err, ErrEmpty) {
		t.Errorf("TryReceive = %v, want ErrEmpty", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := s.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive = %v, want the context's error", err)
	}
	sender := must[*Sender](t)(c.NewSender("tcp://127.0.0.1:9"))
	if err := sender.Send([]byte("x")); err != nil && !errors.Is(err, ErrNoPeer) {
		t.Errorf("Send = %v, want none or ErrNoPeer", err)
	}
}

func TestASocketInUseIsRefused(t *testing.T) {
	c := newContext(t)
	r := must[*Receiver](t)(c.NewReceiver("inproc://a"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := r.Receive(ctx)
		done <- err
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, err := r.TryReceive()
		if errors.Is(err, ErrBusy) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("TryReceive beside a Receive = %v, want ErrBusy", err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Receive = %v, want the context's error", err)
	}
}

func TestCloseIsQuickInAnyState(t *testing.T) {
	const limit = 100 * time.Millisecond
	tests := []struct {
		name    string
		prepare func(t *testing.T, c *Context)
	}{
		{"no sockets", func(*testing.T, *Context) {}},
		{"nobody at the other end", func(t *testing.T, c *Context) {
			must[*Sender](t)(c.NewSender("tcp://127.0.0.1:9"))
			must[*Subscriber](t)(c.NewSubscriber("tcp://127.0.0.1:9"))
			must[*Publisher](t)(c.NewPublisher("inproc://c"))
			must[*Receiver](t)(c.NewReceiver("inproc://d"))
		}},
		{"frames that nobody reads", func(t *testing.T, c *Context) {
			must[*Receiver](t)(c.NewReceiver("inproc://a"))
			s := must[*Sender](t)(c.NewSender("inproc://a"))
			for range 100 {
				if err := s.Send(make([]byte, 1<<16)); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"frames to an unreachable host", func(t *testing.T, c *Context) {
			s := must[*Sender](t)(c.NewSender("tcp://127.0.0.1:9"))
			_ = s.Send(make([]byte, 1<<16))
		}},
		{"receives in progress", func(t *testing.T, c *Context) {
			var started, ended sync.WaitGroup
			for i := range 4 {
				r := must[*Receiver](t)(c.NewReceiver("inproc://" + strconv.Itoa(i)))
				started.Add(1)
				ended.Go(func() {
					started.Done()
					if _, err := r.Receive(context.Background()); !errors.Is(err, ErrClosed) {
						t.Errorf("Receive = %v, want ErrClosed", err)
					}
				})
			}
			started.Wait()
			t.Cleanup(ended.Wait)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newContext(t)
			tt.prepare(t, c)
			start := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > limit {
				t.Errorf("Close took %v, want at most %v", took, limit)
			}
		})
	}
}

func TestWhatIsClosedSaysSo(t *testing.T) {
	c := newContext(t)
	p := must[*Publisher](t)(c.NewPublisher("inproc://a"))
	s := must[*Subscriber](t)(c.NewSubscriber("inproc://a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.TryReceive(); !errors.Is(err, ErrClosed) {
		t.Errorf("TryReceive = %v, want ErrClosed", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v, want no error", err)
		}
	}
	if err := p.Publish(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish = %v, want ErrClosed", err)
	}
	if _, err := c.NewSender("inproc://a"); !errors.Is(err, ErrClosed) {
		t.Errorf("NewSender = %v, want ErrClosed", err)
	}
}

func TestConnectingBeforeBindingIsRefused(t *testing.T) {
	c := newContext(t)
	if _, err := c.NewSubscriber("inproc://a"); !errors.Is(err, ErrNotBound) {
		t.Errorf("NewSubscriber = %v, want ErrNotBound", err)
	}
	if _, err := c.NewSender("inproc://a"); !errors.Is(err, ErrNotBound) {
		t.Errorf("NewSender = %v, want ErrNotBound", err)
	}
}

func TestAnEndpointCanBeBoundAgainAtOnce(t *testing.T) {
	c := newContext(t)
	for i := range 20 {
		r := must[*Receiver](t)(c.NewReceiver("inproc://a"))
		s := must[*Sender](t)(c.NewSender("inproc://a"))
		if err := s.Send([]byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, r); got != strconv.Itoa(i) {
			t.Errorf("frame = %q, want %d", got, i)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.NewSender("inproc://a"); !errors.Is(err, ErrNotBound) {
			t.Errorf("NewSender after the receiver closed = %v, want ErrNotBound", err)
		}
	}
}

func TestAnEndpointInUseIsNamed(t *testing.T) {
	c := newContext(t)
	must[*Publisher](t)(c.NewPublisher("inproc://taken"))
	if _, err := c.NewPublisher("inproc://taken"); err == nil || !strings.Contains(err.Error(), "inproc://taken") {
		t.Errorf("error = %v, want one that names the endpoint", err)
	}
}
