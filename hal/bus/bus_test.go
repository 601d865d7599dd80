package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
)

// reader is a subscriber or a receiver, whose frames are copied.
type reader interface {
	receive(ctx context.Context) (string, error)
	tryReceive() (string, error)
}

type subscriber struct {
	*bus.Subscriber
	frame bus.Frame
}

func (s *subscriber) receive(ctx context.Context) (string, error) {
	err := s.Receive(ctx, &s.frame)
	return string(s.frame.Bytes()), err
}

func (s *subscriber) tryReceive() (string, error) {
	err := s.TryReceive(&s.frame)
	return string(s.frame.Bytes()), err
}

type receiver struct{ *bus.Receiver }

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
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
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
	dial func(t *testing.T, c *bus.Context, endpoint string) (write func([]byte) error, read reader)
}

var directions = []direction{
	{"publisher to subscriber", func(t *testing.T, c *bus.Context, endpoint string) (func([]byte) error, reader) {
		p := bustest.Must[*bus.Publisher](t)(c.NewPublisher(endpoint))
		s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint()))
		return p.Publish, &subscriber{Subscriber: s}
	}},
	{"sender to receiver", func(t *testing.T, c *bus.Context, endpoint string) (func([]byte) error, reader) {
		r := bustest.Must[*bus.Receiver](t)(c.NewReceiver(endpoint))
		s := bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint()))
		return s.Send, &receiver{r}
	}},
}

// each runs test for both directions and both transports. Over TCP it begins after the first frame has arrived.
func each(t *testing.T, test func(t *testing.T, write func([]byte) error, read reader)) {
	for _, d := range directions {
		for _, endpoint := range []string{"inproc://a", "tcp://127.0.0.1:0"} {
			t.Run(d.name+" over "+endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
				write, read := d.dial(t, bustest.NewContext(t), endpoint)
				if strings.HasPrefix(endpoint, "tcp") {
					meet(t, write, read)
				}
				test(t, write, read)
			})
		}
	}
}

// meet writes until a frame arrives, and reads the mailbox until it is empty.
func meet(t *testing.T, write func([]byte) error, read reader) {
	t.Helper()
	meetWith(t, "hello", write, read)
}

// meetWith is meet with a frame that differs from the last one that was read: two equal ones in a row count as one.
func meetWith(t *testing.T, frame string, write func([]byte) error, read reader) {
	t.Helper()
	for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(time.Millisecond) {
		if err := write([]byte(frame)); err != nil && !errors.Is(err, bus.ErrNoPeer) {
			t.Fatal(err)
		}
		if _, err := read.tryReceive(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no frame arrives")
		}
	}
	time.Sleep(50 * time.Millisecond) // For frames that are on their way.
	for {
		if _, err := read.tryReceive(); err != nil {
			return
		}
	}
}

func TestReceive_idleReader_newestFrame(t *testing.T) {
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
			if frame, err := read.tryReceive(); !errors.Is(err, bus.ErrEmpty) {
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

func TestPublish_newSubscriber_firstFrameReceived(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a"))
	for i := range 3 {
		s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("inproc://a"))
		want := fmt.Sprint("frame ", i)
		if err := p.Publish([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, &subscriber{Subscriber: s}); got != want {
			t.Errorf("subscriber %d finds %q, want %q", i, got, want)
		}
	}
}

func TestReceive_twoSenders_newestOfEach(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://a"))
	for _, name := range []string{"x", "y"} {
		s := bustest.Must[*bus.Sender](t)(c.NewSender("inproc://a"))
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

func TestSend_emptyFrame_received(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://a"))
	s := bustest.Must[*bus.Sender](t)(c.NewSender("inproc://a"))
	if err := s.Send(nil); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, &receiver{r}); got != "" {
		t.Errorf("frame = %q, want an empty one", got)
	}
}

func TestSend_noPeer_doesNotBlock(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a"))
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://b"))
	if err := p.Publish([]byte("x")); err != nil {
		t.Errorf("Publish = %v, want no error", err)
	}
	s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("inproc://a"))
	var f bus.Frame
	if err := s.TryReceive(&f); !errors.Is(err, bus.ErrEmpty) {
		t.Errorf("TryReceive = %v, want ErrEmpty", err)
	}
	if _, err := r.TryReceive(); !errors.Is(err, bus.ErrEmpty) {
		t.Errorf("TryReceive = %v, want ErrEmpty", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := s.Receive(ctx, &f); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive = %v, want the context's error", err)
	}
	sender := bustest.Must[*bus.Sender](t)(c.NewSender("tcp://127.0.0.1:9"))
	if err := sender.Send([]byte("x")); !errors.Is(err, bus.ErrNoPeer) {
		t.Errorf("Send = %v, want ErrNoPeer", err)
	}
}

func TestReceive_concurrentCall_busyError(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://a"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := r.Receive(ctx)
		done <- err
	}()
	for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(time.Millisecond) {
		_, err := r.TryReceive()
		if errors.Is(err, bus.ErrBusy) {
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

func TestClose_anyState_quick(t *testing.T) {
	const limit = 100 * time.Millisecond
	tests := []struct {
		name    string
		prepare func(t *testing.T, c *bus.Context)
	}{
		{"no sockets", func(*testing.T, *bus.Context) {}},
		{"no peer", func(t *testing.T, c *bus.Context) {
			bustest.Must[*bus.Sender](t)(c.NewSender("tcp://127.0.0.1:9"))
			bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("tcp://127.0.0.1:9"))
			bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://c"))
			bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://d"))
		}},
		{"unread frames", func(t *testing.T, c *bus.Context) {
			bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://a"))
			s := bustest.Must[*bus.Sender](t)(c.NewSender("inproc://a"))
			for range 100 {
				if err := s.Send(make([]byte, 1<<16)); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"frames to an unreachable host", func(t *testing.T, c *bus.Context) {
			s := bustest.Must[*bus.Sender](t)(c.NewSender("tcp://127.0.0.1:9"))
			_ = s.Send(make([]byte, 1<<16))
		}},
		{"receives in progress", func(t *testing.T, c *bus.Context) {
			var started, ended sync.WaitGroup
			for i := range 4 {
				r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://" + strconv.Itoa(i)))
				started.Add(1)
				ended.Go(func() {
					started.Done()
					if _, err := r.Receive(context.Background()); !errors.Is(err, bus.ErrClosed) {
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
			c := bustest.NewContext(t)
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

func TestClose_laterCalls_closedError(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a"))
	s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("inproc://a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.TryReceive(new(bus.Frame)); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("TryReceive = %v, want ErrClosed", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v, want no error", err)
		}
	}
	if err := p.Publish(nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Publish = %v, want ErrClosed", err)
	}
	if _, err := c.NewSender("inproc://a"); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("NewSender = %v, want ErrClosed", err)
	}
}

func TestConnect_notBound_error(t *testing.T) {
	c := bustest.NewContext(t)
	if _, err := c.NewSubscriber("inproc://a"); !errors.Is(err, bus.ErrNotBound) {
		t.Errorf("NewSubscriber = %v, want ErrNotBound", err)
	}
	if _, err := c.NewSender("inproc://a"); !errors.Is(err, bus.ErrNotBound) {
		t.Errorf("NewSender = %v, want ErrNotBound", err)
	}
}

func TestBind_afterClose_atOnce(t *testing.T) {
	c := bustest.NewContext(t)
	for i := range 20 {
		r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://a"))
		s := bustest.Must[*bus.Sender](t)(c.NewSender("inproc://a"))
		if err := s.Send([]byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, &receiver{r}); got != strconv.Itoa(i) {
			t.Errorf("frame = %q, want %d", got, i)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.NewSender("inproc://a"); !errors.Is(err, bus.ErrNotBound) {
			t.Errorf("NewSender after the receiver closed = %v, want ErrNotBound", err)
		}
	}
}

func TestBind_inUse_namesEndpoint(t *testing.T) {
	c := bustest.NewContext(t)
	bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://taken"))
	if _, err := c.NewPublisher("inproc://taken"); err == nil || !strings.Contains(err.Error(), "inproc://taken") {
		t.Errorf("error = %v, want one that names the endpoint", err)
	}
}

func TestBind_loopbackAddresses(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]"} {
		t.Run(host, func(t *testing.T) {
			if l, err := net.Listen("tcp", host+":0"); err != nil {
				t.Skip(err) // A machine without IPv6.
			} else if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			for _, d := range directions {
				write, read := d.dial(t, bustest.NewContext(t), "tcp://"+host+":0")
				meet(t, write, read)
			}
		})
	}
}

func TestBind_name_error(t *testing.T) {
	_, err := bustest.NewContext(t).NewPublisher("tcp://nonexistent0:0", bus.WithSecurity(bus.Security{Insecure: true}))
	if err == nil || !strings.Contains(err.Error(), "tcp://nonexistent0:0") || !strings.Contains(err.Error(), "expected an address or a network interface") {
		t.Errorf("error = %v, want one that names the endpoint and what is expected", err)
	}
}
