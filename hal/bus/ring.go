package bus

import (
	"bytes"
	"sync/atomic"
	"unsafe"
)

// ring is memory that a writer and its readers share: slots, of which one holds the newest frame, one is for the next, and
// each reader may pin others while it reads. Who pins a slot keeps the writer from it. There is one writer at a time, any
// number of readers, and no lock: a pin is one atomic addition, and nothing waits for anybody.
//
// With as many slots as pins that are held at once, and two more, there is always a slot for the next frame. Where there
// is none, the frame is dropped, and counted.
type ring struct {
	slots []slot
	// newest is the number of the newest frame, from 1, and in its lowest bits the slot that has it; 0 before any.
	newest  atomic.Uint64
	dropped atomic.Uint64
}

const (
	slotBits = 8
	maxSlots = 1 << slotBits
)

// slot is memory for one frame.
type slot struct {
	// pins counts the readers of the slot; it is writing while the writer has it.
	pins   atomic.Int32
	number uint64 // Of the frame. It and the next two are the writer's while it is writing, and otherwise do not change.
	memory []byte // Aligned to alignment; as long as the longest frame that was here.
	frame  []byte // In memory, or in message.
	bad    bool   // There was a message of several parts in its place.
	// message holds what came over TCP.
	message zmqMessage
	freed   atomic.Bool // The message is not needed any more.
}

const (
	writing = -1
	// alignment is that of frames in memory, so that arrays at multiples of it in a frame are aligned too.
	alignment = 64
)

func newRing(slots int) *ring { return &ring{slots: make([]slot, slots)} }

// acquire takes a slot for the next frame, with so many bytes of memory, or returns nil where readers have all of them. The
// writer then calls commit.
func (r *ring) acquire(bytes int) *slot {
	current := -1
	if v := r.newest.Load(); v != 0 {
		current = int(v % maxSlots)
	}
	for i := range r.slots {
		s := &r.slots[i]
		// Never the newest frame's: a reader may come for it at any time.
		if i != current && s.pins.CompareAndSwap(0, writing) {
			s.grow(bytes)
			return s
		}
	}
	return nil
}

// grow gives a slot that is being written at least so many bytes.
func (s *slot) grow(bytes int) {
	if len(s.memory) < bytes {
		s.memory = alignedBytes(bytes)
	}
}

// commit makes frame, which is in s, the newest frame.
func (r *ring) commit(s *slot, frame []byte) {
	number := r.newest.Load()>>slotBits + 1
	s.number, s.frame = number, frame
	s.pins.Store(0)
	index := (uintptr(unsafe.Pointer(s)) - uintptr(unsafe.Pointer(&r.slots[0]))) / unsafe.Sizeof(slot{})
	r.newest.Store(number<<slotBits | uint64(index))
}

// free gives back what messages hold; for those that are pinned, the last reader does. The writer calls it, at the end.
func (r *ring) free() {
	r.newest.Store(0)
	for i := range r.slots {
		s := &r.slots[i]
		s.freed.Store(true)
		s.free()
	}
}

// free gives back what the message holds, if nobody reads it.
func (s *slot) free() {
	if s.pins.CompareAndSwap(0, writing) {
		s.message.close()
	}
}

// isNewest says whether the newest frame equals frame. The writer calls it.
func (r *ring) isNewest(frame []byte) bool {
	v := r.newest.Load()
	if v == 0 {
		return false
	}
	s := &r.slots[v%maxSlots]
	return !s.bad && bytes.Equal(s.frame, frame)
}

// last returns the number of the newest frame, 0 before any.
func (r *ring) last() uint64 { return r.newest.Load() >> slotBits }

// pin returns the slot of the newest frame, pinned, if that is a later one than after, and otherwise nil.
func (r *ring) pin(after uint64) *slot {
	for {
		v := r.newest.Load()
		number := v >> slotBits
		if number <= after {
			return nil
		}
		s := &r.slots[v%maxSlots]
		if s.tryPin() {
			if s.number == number {
				return s
			}
			s.unpin() // It was written again meanwhile, so there is a newer frame.
		}
	}
}

func (s *slot) tryPin() bool {
	for {
		n := s.pins.Load()
		if n == writing {
			return false
		}
		if s.pins.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *slot) unpin() {
	if s.pins.Add(-1) == 0 && s.freed.Load() {
		s.free()
	}
}

// alignedBytes returns memory that begins at a multiple of alignment.
func alignedBytes(n int) []byte {
	b := make([]byte, n+alignment)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % alignment
	return b[skip:][:n:n]
}
