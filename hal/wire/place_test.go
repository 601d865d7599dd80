package wire

import (
	"bytes"
	"errors"
	"testing"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// camera writes images of a size into o, as a backend does, with every pixel of one value.
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

// room returns memory for a frame, aligned as a bus aligns it.
func room(n int) []byte {
	b := make([]byte, n+alignment)
	for i := range b {
		b[i] = 0xAA // So that what is not written shows.
	}
	return b[:n]
}

func TestPixelsThatWerePlacedAreBornInTheFrame(t *testing.T) {
	o := message.NewObservation(robot.Go1())
	camera(o, 4, 5, 1) // From now on the size is known.
	n, err := ObservationBytes(o)
	if err != nil {
		t.Fatal(err)
	}
	memory := room(n)
	if err := PlaceObservation(memory, o); err != nil {
		t.Fatal(err)
	}
	if o.RGB1.Pixels[0] != 1 || o.Depth.Values[0] != 3 {
		t.Error("placing changed what the observation has")
	}
	camera(o, 4, 5, 10)
	want, err := AppendObservation(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	pixel, value := &o.RGB2.Pixels[0], &o.Depth.Values[0]
	got, err := FillObservation(memory, o)
	if err != nil {
		t.Fatal(err)
	}
	if &got[0] != &memory[0] || !bytes.Equal(got, want) {
		t.Error("the frame is not where it was placed, or not that of AppendObservation")
	}
	if pixel != &o.RGB2.Pixels[0] || value != &o.Depth.Values[0] {
		t.Error("pixels were moved")
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := PlaceObservation(memory, o); err != nil {
			t.Fatal(err)
		}
		camera(o, 4, 5, 20)
		if _, err := FillObservation(memory, o); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestWhatWasPlacedAndThenChangedIsStillRight(t *testing.T) {
	tests := []struct {
		name   string
		change func(o *message.Observation)
	}{
		{"nothing: the images of the last frame again", func(*message.Observation) {}},
		{"one image new, the others again", func(o *message.Observation) {
			o.RGB2.Resize(4, 5)
			for i := range o.RGB2.Pixels {
				o.RGB2.Pixels[i] = byte(i)
			}
		}},
		{"one image gone, so that others move", func(o *message.Observation) { camera(o, 4, 5, 30); o.RGB1.Clear() }},
		{"a section more, so that all move", func(o *message.Observation) { camera(o, 4, 5, 40); o.BaseVelocityKnown = true }},
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
			// Several frames, two memories in turn, as with the slots of a bus.
			memories := [2][]byte{room(1 << 16), room(1 << 16)}
			for i := range 5 {
				memory := memories[i%2]
				if err := PlaceObservation(memory, o); err != nil {
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
				got, err := FillObservation(memory, o)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("frame %d differs from one that was not placed", i)
				}
			}
		})
	}
}

func TestAnImageThatComesBackIsNotWrittenIntoAnEarlierFrame(t *testing.T) {
	o := message.NewObservation(robot.Go1())
	camera(o, 4, 5, 1)
	first, second := room(1<<12), room(1<<12)
	for _, memory := range [][]byte{first, second} {
		if err := PlaceObservation(memory, o); err != nil {
			t.Fatal(err)
		}
		if _, err := FillObservation(memory, o); err != nil {
			t.Fatal(err)
		}
		o.RGB1.Clear()
		o.Depth.Clear()
	}
	before := bytes.Clone(first)
	if err := PlaceObservation(second, o); err != nil {
		t.Fatal(err)
	}
	camera(o, 4, 5, 99)
	if !bytes.Equal(before, first) {
		t.Error("the first frame changed")
	}
}

func TestPlacingNeedsRoom(t *testing.T) {
	o := message.NewObservation(robot.Go1())
	camera(o, 4, 5, 1)
	n, err := ObservationBytes(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := PlaceObservation(make([]byte, n-1), o); !errors.Is(err, Length) {
		t.Errorf("error = %v, want length", err)
	}
	o.VelocityRadPerSec = nil
	if err := PlaceObservation(make([]byte, n), o); !errors.Is(err, Shape) {
		t.Errorf("error = %v, want shape", err)
	}
	if _, err := FillObservation(nil, o); !errors.Is(err, Shape) {
		t.Errorf("error = %v, want shape", err)
	}
}
