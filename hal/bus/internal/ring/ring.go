// Package ring is memory that one writer and any number of readers share: the readers find the newest frame, and the writer never
// waits for them.
package ring

import (
	"sync/atomic"
	"unsafe"
)

// Ring has slots, of which one holds the newest frame, one is for the next, and each reader may pin others while it reads. The writer
// does not write to a pinned slot. There is one writer at a time and no lock: a pin is one atomic operation.
//
// With two more slots than pins that are held at once, there is always a slot for the next frame.
//
// T is what a slot holds for its frame, such as the frame's memory.
type Ring[T any] struct {
	slots   []Slot[T]
	release func(*T)
	// newest is the number of the newest frame, from 1, and in its lowest bits the index of its slot; it is 0 before any frame.
	newest atomic.Uint64
}

const (
	indexBits = 8
	// MaxSlots is the maximum number of slots.
	MaxSlots = 1 << indexBits

	writing = -1
	// alignment is that of frames in memory, so that arrays at multiples of it in a frame are aligned too.
	alignment = 64
)

// Slot holds one frame. Its fields are the writer's from Acquire until Commit, and do not change while a reader pins the slot.
type Slot[T any] struct {
	// Value is what the slot holds for its frame.
	Value T
	// Frame is the frame.
	Frame []byte
	// Number is the number of the frame, from 1.
	Number uint64

	// pins counts the readers of the slot; it is writing while the writer has the slot.
	pins  atomic.Int32
	index int
	freed atomic.Bool // Nothing will be written to the ring.
	ring  *Ring[T]
}

// New returns a ring without frames. Free calls release, if it is not nil, for the value of each slot.
func New[T any](slots int, release func(*T)) *Ring[T] {
	r := &Ring[T]{slots: make([]Slot[T], slots), release: release}
	for i := range r.slots {
		r.slots[i].index, r.slots[i].ring = i, r
	}
	return r
}

// Acquire returns a slot for the next frame, for Commit, or nil if readers pin all slots.
func (r *Ring[T]) Acquire() *Slot[T] {
	newest := r.Newest()
	for i := range r.slots {
		s := &r.slots[i]
		// Never the slot of the newest frame: a reader may pin it at any time.
		if s != newest && s.pins.CompareAndSwap(0, writing) {
			return s
		}
	}
	return nil
}

// Commit makes frame the newest frame, in a slot of Acquire.
func (r *Ring[T]) Commit(s *Slot[T], frame []byte) {
	s.Number, s.Frame = r.Last()+1, frame
	s.pins.Store(0)
	r.newest.Store(s.Number<<indexBits | uint64(s.index))
}

// Newest returns the slot of the newest frame, or nil before any frame. Only the writer may call it.
func (r *Ring[T]) Newest() *Slot[T] {
	v := r.newest.Load()
	if v == 0 {
		return nil
	}
	return &r.slots[v%MaxSlots]
}

// Free releases the values of all slots, at once or when the last reader unpins them. Only the writer may call it, after the last
// frame.
func (r *Ring[T]) Free() {
	r.newest.Store(0)
	for i := range r.slots {
		s := &r.slots[i]
		s.freed.Store(true)
		s.free()
	}
}

// free releases the value unless a reader pins the slot.
func (s *Slot[T]) free() {
	if s.pins.CompareAndSwap(0, writing) && s.ring.release != nil {
		s.ring.release(&s.Value)
	}
}

// Last returns the number of the newest frame; it is 0 before any frame.
func (r *Ring[T]) Last() uint64 { return r.newest.Load() >> indexBits }

// Pin returns the slot of the newest frame, pinned, if its number is higher than after, and otherwise nil. The reader calls Unpin.
func (r *Ring[T]) Pin(after uint64) *Slot[T] {
	for {
		v := r.newest.Load()
		number := v >> indexBits
		if number <= after {
			return nil
		}
		s := &r.slots[v%MaxSlots]
		if s.tryPin() {
			if s.Number == number {
				return s
			}
			s.Unpin() // It was written again, so there is a newer frame.
		}
	}
}

func (s *Slot[T]) tryPin() bool {
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

// Unpin returns a pinned slot to the writer.
func (s *Slot[T]) Unpin() {
	if s.pins.Add(-1) == 0 && s.freed.Load() {
		s.free()
	}
}

// Grow returns memory if it has at least the given size, and otherwise new memory of that size, aligned to 64 bytes.
func Grow(memory []byte, bytes int) []byte {
	if len(memory) >= bytes {
		return memory
	}
	b := make([]byte, bytes+alignment)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % alignment
	return b[skip:][:bytes:bytes]
}
