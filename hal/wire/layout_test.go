package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// frameBytes reads numbers of a frame by offset.
type frameBytes []byte

func (f frameBytes) u8(offset int) uint64   { return uint64(f[offset]) }
func (f frameBytes) u16(offset int) uint64  { return uint64(binary.LittleEndian.Uint16(f[offset:])) }
func (f frameBytes) u32(offset int) uint64  { return uint64(binary.LittleEndian.Uint32(f[offset:])) }
func (f frameBytes) u64(offset int) uint64  { return binary.LittleEndian.Uint64(f[offset:]) }
func (f frameBytes) f64(offset int) float64 { return math.Float64frombits(f.u64(offset)) }

// number is a number in a frame.
type number[T uint64 | float64] struct {
	name      string
	got, want T
}

func checkNumbers[T uint64 | float64](t *testing.T, numbers []number[T]) {
	t.Helper()
	for _, n := range numbers {
		if n.got != n.want {
			t.Errorf("%s = %v, want %v", n.name, n.got, n.want)
		}
	}
}

// The layout is a contract with implementations in other languages. The tests have literal offsets, as in docs/hal.md.
func TestLayout_observation(t *testing.T) {
	f := frameBytes(encodeObservation(t, full(2, 3)))
	if string(f[:4]) != "KRBY" {
		t.Errorf("magic = %q", f[:4])
	}
	checkNumbers(t, []number[uint64]{
		{"major", f.u8(4), 2}, {"minor", f.u8(5), 0}, {"kind", f.u8(6), 1}, {"sections", f.u8(7), 10},
		{"frame bytes", f.u32(8), uint64(len(f))},
		{"sequence", f.u64(16), 1}, {"session", f.u64(24), 0xfedcba9876543210},
		{"monotonic", f.u64(32), math.MaxInt64}, {"wall", f.u64(40), math.MaxUint64 - 3}, {"answered", f.u64(48), 0}, {"reserved", f.u64(56), 0},
		{"position id", f.u16(64), 1}, {"position type", f.u8(66), 3}, {"position rank", f.u8(67), 1},
		{"position offset", f.u32(68), 704}, {"position bytes", f.u32(72), 96}, {"position dims", f.u32(80), 12},
		{"velocity offset", f.u32(128 + 4), 832}, {"effort offset", f.u32(192 + 4), 960}, {"imu offset", f.u32(256 + 4), 1088},
		{"contacts id", f.u16(320), 5}, {"contacts offset", f.u32(320 + 4), 1216}, {"contacts bytes", f.u32(320 + 8), 4},
		{"base velocity id", f.u16(384), 6}, {"base velocity offset", f.u32(384 + 4), 1280},
		{"rgb 1 id", f.u16(448), 16}, {"rgb 1 type", f.u8(450), 1}, {"rgb 1 rank", f.u8(451), 3}, {"rgb 1 offset", f.u32(452), 1344},
		{"rgb 1 bytes", f.u32(456), 18}, {"rgb 1 checksum", f.u32(460), 0},
		{"rgb 1 height", f.u32(464), 2}, {"rgb 1 width", f.u32(468), 3}, {"rgb 1 channels", f.u32(472), 3},
		{"rgb 1 sequence", f.u64(480), 20}, {"rgb 1 monotonic", f.u64(488), math.MaxUint64 - 29}, {"rgb 1 rate", f.u64(496), math.Float64bits(30.5)},
		{"rgb 2 id", f.u16(512), 17}, {"depth id", f.u16(576), 18}, {"depth type", f.u8(578), 2}, {"depth rank", f.u8(579), 2},
		{"confidence id", f.u16(640), 19}, {"confidence offset", f.u32(644), 1344 + 3*64},
		{"frame end", uint64(len(f)), 1344 + 3*64 + 24},
		{"contact 0", f.u8(1216), 1}, {"contact 1", f.u8(1217), 0}, {"contact 3", f.u8(1219), 1}, {"red 0 1", f.u8(1344 + 3), 21},
	})
	checkNumbers(t, []number[float64]{
		{"position 1", f.f64(704 + 8), 11 + 1.0/3}, {"orientation x", f.f64(1088 + 8), 301 + 1.0/3},
		{"angular velocity x", f.f64(1088 + 32), 310 + 1.0/3}, {"acceleration z", f.f64(1088 + 72), 322 + 1.0/3}, {"base velocity y", f.f64(1280 + 8), 331 + 1.0/3},
	})
}

func TestLayout_jointCommand(t *testing.T) {
	f := frameBytes(encodeCommand(t, fullCommand(12)))
	checkNumbers(t, []number[uint64]{
		{"kind", f.u8(6), 2}, {"sections", f.u8(7), 4}, {"expires", f.u64(40), 1 << 63}, {"answered", f.u64(48), 3},
		{"target id", f.u16(64), 32}, {"target offset", f.u32(68), 320}, {"kp id", f.u16(128), 33}, {"kd id", f.u16(192), 34}, {"feed-forward id", f.u16(256), 35},
	})
}

func TestLayout_controlRequest(t *testing.T) {
	f := frameBytes(AppendControlRequest(nil, request()))
	checkNumbers(t, []number[uint64]{
		{"minor", f.u8(5), 0}, {"kind", f.u8(6), 4}, {"sections", f.u8(7), 1}, {"frame bytes", f.u32(8), 129},
		{"sequence", f.u64(16), 1}, {"session", f.u64(24), 2}, {"monotonic", f.u64(32), 3}, {"expires", f.u64(40), 1 << 63}, {"answered", f.u64(48), 0},
		{"operation id", f.u16(64), 64}, {"operation type", f.u8(66), 1}, {"operation offset", f.u32(68), 128}, {"operation bytes", f.u32(72), 1}, {"operation", f.u8(128), 3},
	})
}

func TestLayout_controlReply(t *testing.T) {
	f := frameBytes(encodeReply(t, reply()))
	checkNumbers(t, []number[uint64]{
		{"kind", f.u8(6), 5}, {"sections", f.u8(7), 5}, {"sequence", f.u64(16), 1}, {"session", f.u64(24), 0xfedcba9876543210},
		{"received", f.u64(32), math.MaxUint64 - 2}, {"sent", f.u64(40), math.MaxInt64}, {"answered", f.u64(48), 0},
		{"status id", f.u16(64), 80}, {"state id", f.u16(128), 81}, {"state dims", f.u32(128 + 16), 7}, {"stopped by id", f.u16(192), 82}, {"fault id", f.u16(256), 83}, {"reason id", f.u16(320), 84},
		{"status offset", f.u32(68), 384}, {"status", f.u8(384), 4}, {"state offset", f.u32(128 + 4), 448}, {"reason offset", f.u32(320 + 4), 640},
	})
	if string(f[448:455]) != "stopped" || string(f[512:518]) != "remote" || string(f[576:589]) != "joint_outside" {
		t.Errorf("texts = % x", f[448:])
	}
}

func TestGoldenFrames(t *testing.T) {
	for _, f := range forms(t) {
		path := filepath.Join("testdata", f.name+".bin")
		if *update {
			if err := os.WriteFile(path, f.frame, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(f.frame, want) {
			t.Errorf("%s: error %v, got % x, want % x; update with go test ./hal/wire -update", path, err, f.frame, want)
		}
		if got, err := f.reencode(want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s decoded and encoded = % x, %v, want the same frame", path, got, err)
		}
	}
}
