package bus

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// waitLimit returns how long a wait may take: most, or less if the deadline of ctx is near. The error is that of ctx, or ErrClosed.
func waitLimit(ctx context.Context, closing *atomic.Bool, most time.Duration) (time.Duration, error) {
	if closing.Load() {
		return 0, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline))
	}
	return most, nil
}

// waitMessage waits until there may be a message, and takes none.
func waitMessage(ctx context.Context, closing *atomic.Bool, z *zmqSocket, most time.Duration) error {
	most, err := waitLimit(ctx, closing, most)
	if err != nil {
		return err
	}
	if err := z.poll(most); err != nil {
		return fmt.Errorf("bus: waiting for a message: %w", err)
	}
	return nil
}

// receiveError converts an error of receiving.
func receiveError(err error) error {
	switch err {
	case nil:
		return nil
	case errAgain:
		return ErrEmpty
	}
	return fmt.Errorf("bus: receiving: %w", err)
}

// sendError converts an error of sending.
func sendError(err error) error {
	switch err {
	case nil:
		return nil
	case errAgain:
		return ErrNoPeer
	}
	return fmt.Errorf("bus: sending: %w", err)
}
