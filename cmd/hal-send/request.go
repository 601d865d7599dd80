package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
)

// request sends a stop or a reset and prints the answer.
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
	ask := f.Endpoint.Reset
	switch {
	case f.EStop:
		ask = f.Endpoint.EStop
	case !f.Yes:
		ask = f.Endpoint.State
	}
	a, err := ask(ctx, control)
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	fmt.Fprintf(stdout, "%s: session %d is %s\n", f.Endpoint.ControlEndpoint(), a.SessionID, state(a))
	switch {
	case f.EStop && a.State != "stopped":
		return fmt.Errorf("found the robot %s, expected stopped: another client has reset it", state(a))
	case f.Reset && !f.Yes:
		return errNotConfirmed
	}
	return nil
}

// state returns the state in the answer.
func state(a message.ControlReply) string {
	if a.StoppedBy == "" {
		return a.State
	}
	return a.State + " by " + a.StoppedBy
}
