package ring

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// The readers read as fast as possible while the writer writes as fast as possible.
func TestPin_concurrentWriter_wholeAndNewerFrames(t *testing.T) {
	const readers, frames, words = 4, 20_000, 64
	r := New[[]byte](readers+2, nil)
	var done atomic.Bool
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			last := uint64(0)
			for !done.Load() || r.Last() != last {
				s := r.Pin(last)
				if s == nil {
					continue
				}
				if s.Number <= last {
					t.Errorf("frame %d after %d", s.Number, last)
				}
				last = s.Number
				for i := range words {
					if got := binary.LittleEndian.Uint64(s.Frame[8*i:]); got != last {
						t.Errorf("word %d of frame %d is %d", i, last, got)
						break
					}
				}
				s.Unpin()
			}
		})
	}
	for i := uint64(1); i <= frames; i++ {
		s := r.Acquire()
		if s == nil {
			t.Errorf("no slot for frame %d with %d readers", i, readers)
			break
		}
		s.Value = Grow(s.Value, 8*words)
		for w := range words {
			binary.LittleEndian.PutUint64(s.Value[8*w:], i)
		}
		r.Commit(s, s.Value[:8*words])
	}
	done.Store(true)
	all.Wait()
}

func TestFree_pinnedSlot_releasedOnceByLastReader(t *testing.T) {
	released := map[int]int{}
	r := New(3, func(v *int) { released[*v]++ })
	for i := range r.slots {
		r.slots[i].Value = i
	}
	s := r.Acquire()
	r.Commit(s, nil)
	first, second := r.Pin(0), r.Pin(0)
	r.Free()
	if len(released) != 2 || released[s.Value] != 0 {
		t.Errorf("released %v while slot %d is pinned, want the other two", released, s.Value)
	}
	if r.Pin(0) != nil {
		t.Error("a frame after Free")
	}
	first.Unpin()
	if released[s.Value] != 0 {
		t.Error("released while another reader pins the slot")
	}
	second.Unpin()
	for i := range r.slots {
		if released[i] != 1 {
			t.Errorf("slot %d was released %d times, want once", i, released[i])
		}
	}
}

func TestAcquire_allSlotsPinned_nil(t *testing.T) {
	r := New[int](2, nil)
	for i := range 2 {
		s := r.Acquire()
		if s == nil {
			t.Fatalf("no slot for frame %d", i)
		}
		r.Commit(s, nil)
		if r.Pin(uint64(i)) != s {
			t.Fatalf("frame %d is not the newest", i+1)
		}
	}
	if r.Acquire() != nil {
		t.Error("a slot although readers pin all")
	}
}

func TestGrow(t *testing.T) {
	for _, bytes := range []int{1, 63, 64, 1000} {
		b := Grow(nil, bytes)
		if len(b) != bytes || cap(b) != bytes || uintptr(unsafe.Pointer(&b[0]))%alignment != 0 {
			t.Errorf("%d bytes: %d of %d at %p", bytes, len(b), cap(b), &b[0])
		}
		if smaller := Grow(b, bytes-1); &smaller[0] != &b[0] || len(smaller) != bytes {
			t.Errorf("%d bytes: other memory for less", bytes)
		}
	}
}
