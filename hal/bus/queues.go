package bus

import (
	"slices"
	"sync/atomic"

	"krabby.dev/krabby/hal/bus/internal/ring"
)

// senderSlots are the slots of one sender's ring: its receiver holds one frame at a time.
const senderSlots = 1 + spareSlots

// senderQueue holds the newest frame of one sender to a receiver.
type senderQueue[T any] struct {
	ring *ring.Ring[T]
	read uint64 // The number of the last frame that the receiver read.
}

func newSenderQueue[T any](release func(*T)) *senderQueue[T] {
	return &senderQueue[T]{ring: ring.New(senderSlots, release)}
}

// senderQueues are the queues of one receiver. The slice is replaced, never changed, so that the receiver reads it without a lock. Calls of add and remove exclude each other.
type senderQueues[T any] struct {
	all atomic.Pointer[[]*senderQueue[T]]
}

func (q *senderQueues[T]) load() []*senderQueue[T] {
	if all := q.all.Load(); all != nil {
		return *all
	}
	return nil
}

func (q *senderQueues[T]) add(added *senderQueue[T]) {
	all := append(slices.Clone(q.load()), added)
	q.all.Store(&all)
}

func (q *senderQueues[T]) remove(removed *senderQueue[T]) {
	all := slices.DeleteFunc(slices.Clone(q.load()), func(o *senderQueue[T]) bool { return o == removed })
	q.all.Store(&all)
}

// queueReader reads the queues of a receiver.
type queueReader[T any] struct {
	queues *senderQueues[T]
	next   int    // The queue to look at first, so that each queue has its turn.
	memory []byte // The last frame.
}

// takeFrom returns the newest unread frame of a sender, for which check returns no error. Otherwise it drops the frame.
func (r *queueReader[T]) takeFrom(check func(*T) error) ([]byte, error) {
	queues := r.queues.load()
	for i := range queues {
		at := (r.next + i) % len(queues)
		q := queues[at]
		slot := q.ring.Pin(q.read)
		if slot == nil {
			continue
		}
		q.read, r.next = slot.Number, at+1
		err := check(&slot.Value)
		if err == nil {
			// A copy, so that a receiver needs no Frame. Commands are small.
			r.memory = append(r.memory[:0], slot.Frame...)
		}
		slot.Unpin()
		if err != nil {
			return nil, err
		}
		return r.memory, nil
	}
	return nil, ErrEmpty
}
