package wire

import (
	"fmt"
	"slices"
	"testing"

	"krabby.dev/krabby/hal/message"
)

func BenchmarkObservation(b *testing.B) {
	for _, size := range []struct{ height, width int }{{0, 0}, {240, 320}, {480, 640}} {
		o := observation(12, 4)
		if size.height > 0 {
			o = full(size.height, size.width)
		}
		frame := encodeObservation(b, o)
		name := fmt.Sprintf("%dx%d", size.height, size.width)
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			buffer := slices.Clone(frame)
			for b.Loop() {
				if _, err := AppendObservation(buffer[:0], o); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			var got message.Observation
			for b.Loop() {
				if err := DecodeObservation(&got, frame); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode_and_copy/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			var got, own message.Observation
			for b.Loop() {
				if err := DecodeObservation(&got, frame); err != nil {
					b.Fatal(err)
				}
				own.CopyFrom(&got)
			}
		})
	}
}

func BenchmarkJointCommand(b *testing.B) {
	c := fullCommand(12)
	frame := encodeCommand(b, c)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		buffer := slices.Clone(frame)
		for b.Loop() {
			if _, err := AppendJointCommand(buffer[:0], c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := DecodeJointCommand(c, frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}
