package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
)

// request sends a stop or a reset and prints the reply.
func request(ctx context.Context, f *flags, stdout io.Writer) (err error) {
	b, err := bus.NewContext()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	control, err := f.Endpoint.OpenControl(b)
	if err != nil {
		return err
	}
	send := f.Endpoint.Reset
	switch {
	case f.EStop:
		send = f.Endpoint.EStop
	case !f.Yes:
		send = f.Endpoint.State
	}
	reply, err := send(ctx, control)
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	fmt.Fprintf(stdout, "%s: session %d is %s\n", f.Endpoint.ControlEndpoint(), reply.SessionID, state(reply))
	switch {
	case f.EStop && reply.State != "stopped":
		return fmt.Errorf("found the robot %s, expected stopped: another client has reset it", state(reply))
	case f.Reset && !f.Yes:
		return errNotConfirmed
	}
	return nil
}

// state describes the state in a reply.
func state(reply message.ControlReply) string {
	if reply.StoppedBy == "" {
		return reply.State
	}
	return reply.State + " by " + reply.StoppedBy
}
