package robotrun

import (
	"errors"
	"fmt"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/wire"
	v1 "krabby.dev/krabby/hal/wire/v1"
)

// links are the flags of endpoints for clients outside of the process.
type links struct {
	Observations   string   `placeholder:"ENDPOINT" help:"Publish observations at this endpoint too, for example tcp://127.0.0.1:6001."`
	Commands       string   `placeholder:"ENDPOINT" help:"Accept joint commands at this endpoint too, for example tcp://127.0.0.1:6002."`
	Control        string   `placeholder:"ENDPOINT" help:"Answer clock, emergency stop and reset requests at this endpoint, for example tcp://127.0.0.1:6003."`
	V1Observations string   `name:"v1-observations" placeholder:"ENDPOINT" help:"Publish observations in version 1 of the wire format at this endpoint too."`
	V1Commands     string   `name:"v1-commands" placeholder:"ENDPOINT" help:"Accept joint commands in version 1 at this endpoint too."`
	Key            string   `placeholder:"FILE" help:"Secret key of this server, for --observations, --commands and --control; the command keygen makes one."`
	AuthorizedKey  []string `placeholder:"FILE" help:"Public key of a client that may connect; repeat the flag for each."`
	Insecure       bool     `help:"Allow endpoints that other machines can reach without keys: everybody can then read and move the robot."`

	security bus.Security // From the last three.
}

// v1PartBytes is the largest size of a part of a command of version 1.
const v1PartBytes = 2 * v1.MaxMetadataBytes

// The size of the images of version 1 for a robot without cameras.
const v1Height, v1Width = 480, 640

// check validates the flags and reads the keys.
func (l *links) check() error {
	if (l.Observations == "") != (l.Commands == "") {
		return errors.New("--observations, --commands: found one of them, expected both or neither")
	}
	if (l.V1Observations == "") != (l.V1Commands == "") {
		return errors.New("--v1-observations, --v1-commands: found one of them, expected both or neither")
	}
	if l.Key != "" {
		var err error
		if l.security.Keys, err = bus.LoadKeys(l.Key); err != nil {
			return fmt.Errorf("--key: %w", err)
		}
	}
	for _, path := range l.AuthorizedKey {
		key, err := bus.LoadPublicKey(path)
		if err != nil {
			return fmt.Errorf("--authorized-key: %w", err)
		}
		l.security.AuthorizedKeys = append(l.security.AuthorizedKeys, key)
	}
	l.security.Insecure = l.Insecure
	// Version 1 has no keys.
	old := bus.Security{Insecure: l.Insecure}
	for _, e := range []struct {
		flag, endpoint string
		security       *bus.Security
	}{
		{"--observations", l.Observations, &l.security},
		{"--commands", l.Commands, &l.security},
		{"--control", l.Control, &l.security},
		{"--v1-observations", l.V1Observations, &old},
		{"--v1-commands", l.V1Commands, &old},
	} {
		if e.endpoint == "" {
			continue
		}
		if err := e.security.Check(e.endpoint, true); err != nil {
			return fmt.Errorf("%s: %s: %w", e.flag, e.endpoint, err)
		}
	}
	return nil
}

// open binds the endpoints and returns the server's options for them.
func (l *links) open(b *bus.Context) (opts []server.Option, err error) {
	if l.Observations != "" {
		out, err := b.NewPublisher(l.Observations, bus.WithSecurity(l.security))
		if err != nil {
			return nil, err
		}
		in, err := b.NewReceiver(l.Commands, bus.WithSecurity(l.security), bus.WithMaxFrameBytes(wire.MaxCommandBytes))
		if err != nil {
			return nil, err
		}
		opts = append(opts, server.WithLink(out, in))
	}
	if l.Control != "" {
		in, err := b.NewResponder(l.Control, bus.WithSecurity(l.security), bus.WithMaxFrameBytes(wire.MaxControlBytes))
		if err != nil {
			return nil, err
		}
		opts = append(opts, server.WithControl(in))
	}
	if l.V1Observations != "" {
		old := bus.WithSecurity(bus.Security{Insecure: l.Insecure})
		out, err := b.NewMultipartPublisher(l.V1Observations, old)
		if err != nil {
			return nil, err
		}
		in, err := b.NewMultipartReceiver(l.V1Commands, old, bus.WithMaxFrameBytes(v1PartBytes))
		if err != nil {
			return nil, err
		}
		opts = append(opts, server.WithV1(out, in, v1Height, v1Width))
	}
	return opts, nil
}
