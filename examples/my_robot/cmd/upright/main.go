// Command upright reports whether the robot is upright, for a supervisor on the robot. It reads the observations that locomotion publishes
// with --observations.
//
//	upright --observations=tcp://127.0.0.1:6001 --robot=/opt/krabby/robots/my_robot.json
//
// Exit codes: 0 if it is upright, 1 if it is not or if there is no valid observation, 2 if the command line is invalid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

func main() {
	observations := flag.String("observations", "tcp://127.0.0.1:6001", "`endpoint` of the observations")
	robotFile := flag.String("robot", "/opt/krabby/robots/my_robot.json", "robot `file`")
	maxTilt := flag.Float64("max-tilt", 30, "largest `angle` to the vertical, in degrees")
	timeout := flag.Duration("timeout", 5*time.Second, "how long to wait for an observation")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "upright: unexpected argument %q (see --help)\n", flag.Arg(0))
		os.Exit(2)
	}
	tilt, err := read(*observations, *robotFile, *timeout)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "upright: %v\n", err)
		os.Exit(1)
	case tilt > *maxTilt:
		fmt.Printf("tilted by %.1f degrees\n", tilt)
		os.Exit(1)
	}
	fmt.Printf("upright: %.1f degrees\n", tilt)
}

// read waits for an observation and returns the robot's angle to the vertical, in degrees.
func read(observations, robotFile string, timeout time.Duration) (tilt float64, err error) {
	r, err := robot.Load(robotFile)
	if err != nil {
		return 0, err
	}
	b, err := bus.NewContext()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	subscriber, err := b.NewSubscriber(observations)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	o := message.NewObservation(r)
	if _, err := client.New(r, subscriber, nil).Latest(ctx, o); err != nil {
		return 0, fmt.Errorf("no observation from %s within %v: %w", observations, timeout, err)
	}
	return tiltDegrees(o.IMU.Orientation), nil
}

// tiltDegrees returns the angle between the z axes of the robot and of the world for an orientation (w, x, y, z).
func tiltDegrees(q [4]float64) float64 {
	cos := 1 - 2*(q[1]*q[1]+q[2]*q[2])
	return math.Acos(math.Max(-1, math.Min(1, cos))) * 180 / math.Pi
}
