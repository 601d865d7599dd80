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

// reader is a subscriber or a receiver, whose frames are copied.
type reader interface {
	receive(ctx context.Context) (string, error)
	tryReceive() (string, error)
}

type subscriber struct {
	*Subscriber
	frame Frame
}

func (s *subscriber) receive(ctx context.Context) (string, error) {
	err := s.Receive(ctx, &s.frame)
	return string(s.frame.Bytes()), err
}

func (s *subscriber) tryReceive() (string, error) {
	err := s.TryReceive(&s.frame)
	return string(s.frame.Bytes()), err
}

type receiver struct{ *Receiver }

func (r *receiver) receive(ctx context.Context) (string, error) {
	frame, err := r.Receive(ctx)
	return string(frame), err
}

func (r *receiver) tryReceive() (string, error) {
	frame, err := r.TryReceive()
	return string(frame), err
}

func receive(t *testing.T, r reader) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	frame, err := r.receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// direction is a pair of sockets.
type direction struct {
	name string
	dial func(t *testing.T, c *Context, endpoint string) (write func([]byte) error, read reader)
}

var directions = []direction{
	{"publisher to subscriber", func(t *testing.T, c *Context, endpoint string) (func([]byte) error, reader) {
		p := must[*Publisher](t)(c.NewPublisher(endpoint))
		s := must[*Subscriber](t)(c.NewSubscriber(p.Endpoint()))
		return p.Publish, &subscriber{Subscriber: s}
	}},
	{"sender to receiver", func(t *testing.T, c *Context, endpoint string) (func([]byte) error, reader) {
		r := must[*Receiver](t)(c.NewReceiver(endpoint))
		s := must[*Sender](t)(c.NewSender(r.Endpoint()))
		return s.Send, &receiver{r}
	}},
}

// each runs test for both directions and both transports. Over TCP it begins once a frame has come through.
func each(t *testing.T, test func(t *testing.T, write func([]byte) error, read reader)) {
	for _, d := range directions {
		for _, endpoint := range []string{"inproc://a", "tcp://127.0.0.1:0"} {
			t.Run(d.name+" over "+endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
				write, read := d.dial(t, newContext(t), endpoint)
				if strings.HasPrefix(endpoint, "tcp") {
					meet(t, write, read)
				}
				test(t, write, read)
			})
		}
	}
}

// meet writes until a frame comes through, and reads the mailbox empty.
func meet(t *testing.T, write func([]byte) error, read reader) {
	t.Helper()
	meetWith(t, "hello", write, read)
}

// meetWith is meet with a frame that is not the last one that was read: two equal ones in a row are one.
func meetWith(t *testing.T, frame string, write func([]byte) error, read reader) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if err := write([]byte(frame)); err != nil && !errors.Is(err, ErrNoPeer) {
			t.Fatal(err)
		}
		if _, err := read.tryReceive(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no frame comes through")
		}
	}
	time.Sleep(50 * time.Millisecond) // What is on its way arrives.
	for {
		if _, err := read.tryReceive(); err != nil {
			return
		}
	}
}

func TestAnIdleReaderFindsOnlyTheNewestFrame(t *testing.T) {
	for _, size := range []int{3, 4 << 20} {
		each(t, func(t *testing.T, write func([]byte) error, read reader) {
			frame := make([]byte, size)
			for i := 1; i <= 100; i++ {
				copy(frame, fmt.Sprintf("%03d", i))
				if err := write(frame); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(300 * time.Millisecond) // The reader is idle, and over TCP the last is on its way.
			if got := receive(t, read); got[:3] != "100" || len(got) != size {
				t.Errorf("after 1..100 the reader finds %q of %d bytes, want 100 of %d", got[:3], len(got), size)
			}
			if frame, err := read.tryReceive(); !errors.Is(err, ErrEmpty) {
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
		if got := receive(t, &subscriber{Subscriber: s}); got != want {
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
	got := map[string]bool{receive(t, &receiver{r}): true, receive(t, &receiver{r}): true}
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
	if got := receive(t, &receiver{r}); got != "" {
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
	var f Frame
	if err := s.TryReceive(&f); !errors.Is(err, ErrEmpty) {
		t.Errorf("TryReceive = %v, want ErrEmpty", err)
	}
	if _, err := r.TryReceive(); !errors.Is(err, ErrEmpty) {
		t.Errorf("TryReceive = %v, want ErrEmpty", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := s.Receive(ctx, &f); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive = %v, want the context's error", err)
	}
	sender := must[*Sender](t)(c.NewSender("tcp://127.0.0.1:9"))
	if err := sender.Send([]byte("x")); !errors.Is(err, ErrNoPeer) {
		t.Errorf("Send = %v, want ErrNoPeer", err)
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
	if err := s.TryReceive(new(Frame)); !errors.Is(err, ErrClosed) {
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
		if got := receive(t, &receiver{r}); got != strconv.Itoa(i) {
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
