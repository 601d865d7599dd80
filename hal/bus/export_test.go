package bus

import (
	"context"
	"os"
)

// For the tests in package bus_test.
const (
	HeartbeatInterval    = heartbeatInterval
	DeadAfter            = deadAfter
	MaxSubscriptionBytes = maxSubscriptionBytes
	ResendAfter          = resendAfter
)

// ReportsOversize returns whether libzmq reports frames that are too large, as the one of this repository does, which Bazel's tests use.
func ReportsOversize() bool { return os.Getenv("KRABBY_LIBZMQ") == "patched" }

// SendParts sends any message as a requester.
func SendParts(r *Requester, parts [][]byte) error { return r.impl.sendMessage(parts) }

// Wait waits as Receive does.
func Wait(ctx context.Context, s *Subscriber) error { return s.impl.wait(ctx) }
