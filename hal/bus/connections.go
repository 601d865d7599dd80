package bus

// Connections are the counters of TCP connections. Over inproc they are 0.
type Connections struct {
	// Opened counts connections that were accepted or made.
	Opened uint64 `json:"opened"`
	// Closed counts those that ended, on either side.
	Closed uint64 `json:"closed"`
	// Oversize counts frames, or parts, above the reader's maximum size. The sender of each was disconnected.
	Oversize uint64 `json:"oversize"`
	// Key counts handshakes that failed because of a wrong key or none.
	Key uint64 `json:"key"`
	// Protocol counts connections that failed in the handshake for another reason, such as those of programs that do not use ZeroMQ,
	// or broke its protocol later.
	Protocol uint64 `json:"protocol"`
}

// ConnectionCounter counts connections. Every socket of this package is one.
type ConnectionCounter interface {
	// Connections returns the counters. It may be called at any time from any goroutine.
	Connections() Connections
}

// Add returns the sums of the counters.
func (c Connections) Add(o Connections) Connections {
	c.Opened += o.Opened
	c.Closed += o.Closed
	c.Oversize += o.Oversize
	c.Key += o.Key
	c.Protocol += o.Protocol
	return c
}
