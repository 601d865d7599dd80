package bus_test

import (
	"context"
	"fmt"
	"log"

	"krabby.dev/krabby/hal/bus"
)

// A subscriber reads the newest frame.
func ExamplePublisher() {
	c, err := bus.NewContext()
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	p, err := c.NewPublisher("inproc://observation")
	if err != nil {
		log.Fatal(err)
	}
	s, err := c.NewSubscriber("inproc://observation")
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		frame, err := p.Acquire(100)
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Publish(fmt.Appendf(frame, "frame %d", i)); err != nil {
			log.Fatal(err)
		}
	}
	var f bus.Frame
	if err := s.Receive(context.Background(), &f); err != nil {
		log.Fatal(err)
	}
	defer f.Release()
	fmt.Printf("%s\n", f.Bytes())
	fmt.Println(s.TryReceive(new(bus.Frame)))
	// Output:
	// frame 2
	// bus: no new frame
}

// A client of another machine connects with keys.
func ExampleWithSecurity() {
	server, err := bus.NewKeys()
	if err != nil {
		log.Fatal(err)
	}
	client, err := bus.NewKeys()
	if err != nil {
		log.Fatal(err)
	}
	c, err := bus.NewContext()
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	responder, err := c.NewResponder("tcp://127.0.0.1:0", bus.WithSecurity(bus.Security{Keys: server, AuthorizedKeys: []string{client.Public}}))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if request, err := responder.Receive(context.Background()); err == nil {
			_ = responder.Reply(fmt.Appendf(nil, "reply to %s", request))
		}
	}()
	requester, err := c.NewRequester(responder.Endpoint(), bus.WithSecurity(bus.Security{Keys: client, ServerKey: server.Public}))
	if err != nil {
		log.Fatal(err)
	}
	reply, err := requester.Request(context.Background(), []byte("request"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", reply)
	// Output: reply to request
}
