package server_test

import (
	"context"
	"math"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
)

// Both sides and a backend, over the real bus: a command moves the joints that the client observes.
func TestACommandOfAClientMovesTheRobot(t *testing.T) {
	b, err := bus.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	out, err := b.NewPublisher("inproc://observation")
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.NewReceiver("inproc://command")
	if err != nil {
		t.Fatal(err)
	}
	r := robot.Go1()
	s, err := server.New(r, synthetic.New(r, 10*time.Millisecond), out, in)
	if err != nil {
		t.Fatal(err)
	}
	subscriber, err := b.NewSubscriber("inproc://observation")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := b.NewSender("inproc://command")
	if err != nil {
		t.Fatal(err)
	}
	c := client.New(r, subscriber, sender)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(done)
	}()

	const targetRad, swayRad = 0.5, 0.03
	o, cmd := message.NewObservation(r), message.NewJointCommand(r)
	cmd.TargetRad[0] = targetRad
	for math.Abs(o.PositionRad[0]-targetRad) > swayRad {
		if _, err := c.Latest(ctx, o); err != nil {
			t.Fatalf("the first joint is at %v rad, want %v: %v", o.PositionRad[0], targetRad, err)
		}
		cmd.ObservationSequence = o.Sequence
		if err := c.Send(cmd); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-done
	if st := s.Stats(); st.Applied == 0 || st.Published < st.Applied {
		t.Errorf("server stats = %+v, want commands applied", st)
	}
	if st := c.Stats(); st.Observations == 0 || st.Sent == 0 || len(st.Refused) != 0 {
		t.Errorf("client stats = %+v, want observations read and commands sent", st)
	}
}
