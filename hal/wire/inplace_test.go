package wire

import (
	"bytes"
	"errors"
	"testing"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// camera writes images of one value each into o, as a backend does.
func camera(o *message.Observation, height, width int, value byte) {
	o.RGB1.Resize(height, width)
	o.RGB2.Resize(height, width)
	for i := range o.RGB1.Pixels {
		o.RGB1.Pixels[i], o.RGB2.Pixels[i] = value, value+1
	}
	o.Depth.Resize(height, width)
	o.Confidence.Resize(height, width)
	for i := range o.Depth.Values {
		o.Depth.Values[i], o.Confidence.Values[i] = float32(value)+2, float32(value)+3
	}
}

// alignedMemory returns n bytes for a frame, aligned like those of a bus.
func alignedMemory(n int) []byte {
	b := make([]byte, n+alignment)
	for i := range b {
		b[i] = 0xAA // Reveals bytes that are not written.
	}
	return b[:n]
}

func TestEncodeInPlace(t *testing.T) {
	o := message.NewObservation(robot.Go1())
	camera(o, 4, 5, 1) // Sets the sizes.
	n, err := ObservationSize(o)
	if err != nil {
		t.Fatal(err)
	}
	memory := alignedMemory(n)
	if err := PrepareInPlace(memory, o); err != nil {
		t.Fatal(err)
	}
	if o.RGB1.Pixels[0] != 1 || o.Depth.Values[0] != 3 {
		t.Error("PrepareInPlace changed the observation")
	}
	camera(o, 4, 5, 10)
	want, err := AppendObservation(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	pixel, value := &o.RGB2.Pixels[0], &o.Depth.Values[0]
	got, err := EncodeInPlace(memory, o)
	if err != nil {
		t.Fatal(err)
	}
	if &got[0] != &memory[0] || !bytes.Equal(got, want) {
		t.Error("the frame is not in memory, or differs from that of AppendObservation")
	}
	if pixel != &o.RGB2.Pixels[0] || value != &o.Depth.Values[0] {
		t.Error("pixels were copied")
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := PrepareInPlace(memory, o); err != nil {
			t.Fatal(err)
		}
		camera(o, 4, 5, 20)
		if _, err := EncodeInPlace(memory, o); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestEncodeInPlace_changedObservation(t *testing.T) {
	tests := []struct {
		name   string
		change func(o *message.Observation)
	}{
		{"no change", func(*message.Observation) {}},
		{"one new image", func(o *message.Observation) {
			o.RGB2.Resize(4, 5)
			for i := range o.RGB2.Pixels {
				o.RGB2.Pixels[i] = byte(i)
			}
		}},
		{"one image removed", func(o *message.Observation) { camera(o, 4, 5, 30); o.RGB1.Clear() }},
		{"additional section", func(o *message.Observation) { camera(o, 4, 5, 40); o.BaseVelocityKnown = true }},
		{"smaller images", func(o *message.Observation) { camera(o, 3, 3, 50) }},
		{"larger images", func(o *message.Observation) { camera(o, 40, 50, 60) }},
		{"images swapped", func(o *message.Observation) {
			camera(o, 4, 5, 70)
			o.RGB1, o.RGB2 = o.RGB2, o.RGB1
			o.Depth, o.Confidence = o.Confidence, o.Depth
		}},
		{"no images", func(o *message.Observation) { o.RGB1.Clear(); o.RGB2.Clear(); o.Depth.Clear(); o.Confidence.Clear() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, reference := message.NewObservation(robot.Go1()), message.NewObservation(robot.Go1())
			camera(o, 4, 5, 1)
			camera(reference, 4, 5, 1)
			// Several frames in alternating memories, as in the ring of a bus.
			memories := [2][]byte{alignedMemory(1 << 16), alignedMemory(1 << 16)}
			for i := range 5 {
				memory := memories[i%2]
				if err := PrepareInPlace(memory, o); err != nil {
					t.Fatal(err)
				}
				if i > 1 {
					tt.change(o)
					tt.change(reference)
				}
				want, err := AppendObservation(nil, reference)
				if err != nil {
					t.Fatal(err)
				}
				got, err := EncodeInPlace(memory, o)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("frame %d differs from that of AppendObservation", i)
				}
			}
		})
	}
}

func TestPrepareInPlace_imageReturns(t *testing.T) {
	o := message.NewObservation(robot.Go1())
	camera(o, 4, 5, 1)
	first, second := alignedMemory(1<<12), alignedMemory(1<<12)
	for _, memory := range [][]byte{first, second} {
		if err := PrepareInPlace(memory, o); err != nil {
			t.Fatal(err)
		}
		if _, err := EncodeInPlace(memory, o); err != nil {
			t.Fatal(err)
		}
		o.RGB1.Clear()
		o.Depth.Clear()
	}
	before := bytes.Clone(first)
	if err := PrepareInPlace(second, o); err != nil {
		t.Fatal(err)
	}
	camera(o, 4, 5, 99)
	if !bytes.Equal(before, first) {
		t.Error("the first frame changed")
	}
}

func TestPrepareInPlace_errors(t *testing.T) {
	o := message.NewObservation(robot.Go1())
	camera(o, 4, 5, 1)
	n, err := ObservationSize(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := PrepareInPlace(make([]byte, n-1), o); !errors.Is(err, RejectLength) {
		t.Errorf("error = %v, want length", err)
	}
	o.VelocityRadPerSec = nil
	if err := PrepareInPlace(make([]byte, n), o); !errors.Is(err, RejectShape) {
		t.Errorf("error = %v, want shape", err)
	}
	if _, err := EncodeInPlace(nil, o); !errors.Is(err, RejectShape) {
		t.Errorf("error = %v, want shape", err)
	}
}
