// Package npz reads rollouts that numpy or package rollout wrote. It is separate from package rollout because the library that
// reads arrays is large.
//
// No robot program may import it.
package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"codeberg.org/sbinet/npyio/npy"
	"codeberg.org/sbinet/npyio/npy/float16"

	"krabby.dev/krabby/compute/rollout"
)

const (
	// MaxBytes is the largest uncompressed size of all arrays of a file together.
	MaxBytes = 512 << 20

	maxHeaderBytes = 1 << 16
	maxNames       = 4096
)

// Options configures Read.
type Options struct {
	// Environment is the environment to read from arrays of several, as training loops record them: [T, N, J]; counted from 0.
	// A negative one is none: then such arrays are an error.
	Environment int
}

// Read reads a rollout of one environment; see ReadEnvironment.
func Read(path string) (*rollout.Rollout, error) { return ReadEnvironment(path, Options{-1}) }

// ReadEnvironment reads a rollout and checks it with [rollout.Rollout.Check]. The error is a *rollout.Error.
//
// Beside the names of package rollout it reads those of Isaac Lab and mjlab. Dimensions of 1 between the first and the last are
// dropped. Times may start again in the first step of an episode: then they go on from the step before.
func ReadEnvironment(path string, opts Options) (_ *rollout.Rollout, err error) {
	info, err := os.Stat(path) // Stat first, because opening a pipe would block.
	switch {
	case err != nil:
		return nil, rollout.PathError(path, err)
	case !info.Mode().IsRegular():
		return nil, &rollout.Error{File: path, Problem: "not a regular file"}
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, &rollout.Error{File: path, Problem: "not a zip archive as numpy.savez writes it: " + err.Error(), Err: err}
	}
	defer z.Close()
	f := &file{path: path, entries: map[string]*zip.File{}, left: MaxBytes, environment: opts.Environment}
	for _, entry := range z.File {
		f.entries[strings.TrimSuffix(entry.Name, ".npy")] = entry
	}
	r, err := f.rollout()
	if err != nil {
		return nil, err
	}
	return r, r.Check(path)
}

// file is an open archive.
type file struct {
	path    string
	entries map[string]*zip.File // By the name of the array.
	left    int64                // Bytes that may still be unpacked.

	environment int
}

// wrong returns the error for a wrong value of an array.
func (f *file) wrong(array, found, expected string) error {
	return &rollout.Error{File: f.path, Array: array, Found: found, Expected: expected}
}

// unreadable returns the error for an array that cannot be read.
func (f *file) unreadable(array, problem string, err error) error {
	if err != nil {
		problem += ": " + err.Error()
	}
	return &rollout.Error{File: f.path, Array: array, Problem: problem, Err: err}
}

// rollout reads all arrays.

func (f *file) rollout() (_ *rollout.Rollout, err error) {
	r := &rollout.Rollout{}
	if r.JointNames, err = f.names("joint_names", true); err != nil {
		return nil, err
	}
	if r.FootNames, err = f.names("foot_names", false); err != nil {
		return nil, err
	}
	if err := f.episodes(r); err != nil {
		return nil, err
	}
	if err := f.time(r); err != nil {
		return nil, err
	}
	for _, field := range r.Fields() {
		a, err := f.array(field.Name, 2, field.Required)
		if err != nil {
			return nil, err
		}
		if a == nil {
			continue
		}
		if a.shape[0] != r.Steps() || a.shape[1] == 0 || field.Columns > 0 && a.shape[1] != field.Columns {
			columns := "any number above 0"
			if field.Columns > 0 {
				columns = fmt.Sprint(field.Columns)
			}
			return nil, f.wrong(field.Name, fmt.Sprintf("shape %v", a.shape), fmt.Sprintf("%d rows, one for each time, and columns: %s", r.Steps(), columns))
		}
		*field.Array = rollout.Array{Columns: a.shape[1], Values: narrow(a.values)}
		if field.Compared {
			r.Rounding = max(r.Rounding, a.rounding)
		}
	}
	return r, nil
}

// episodes reads the starts of episodes into r.
func (f *file) episodes(r *rollout.Rollout) error {
	starts, err := f.array("episode_start", 1, false)
	if starts == nil || err != nil {
		return err
	}
	for _, v := range starts.values {
		r.EpisodeStart = append(r.EpisodeStart, v != 0)
	}
	return nil
}

// time reads the times, in s or in ns, into r.
func (f *file) time(r *rollout.Rollout) error {
	name, unit := "time_s", 1.0
	if _, ok := f.entries[name]; !ok {
		if _, ok := f.entries["time_ns"]; ok {
			name, unit = "time_ns", 1e-9
		}
	}
	a, err := f.array(name, 1, true)
	if err != nil {
		return err
	}
	from := 0.0
	if len(a.values) > 0 {
		from = a.values[0]
	}
	for t, v := range a.values {
		if t > 0 && v <= a.values[t-1] {
			if t >= len(r.EpisodeStart) || !r.EpisodeStart[t] {
				return f.wrong(fmt.Sprintf("%s[%d]", name, t), fmt.Sprint(v),
					fmt.Sprintf("a time after that of the step before, %v, or an array episode_start that is nonzero in this step", a.values[t-1]))
			}
			// A new episode, one period after the step before.
			period := 1e-9 / unit
			if t > 1 {
				period = a.values[t-1] - a.values[t-2]
			}
			from = v - (a.values[t-1] - from) - max(period, 1e-9/unit)
		}
		r.TimeS = append(r.TimeS, (v-from)*unit) // A float64 of seconds since 1970 has no digit left for ns.
	}
	return nil
}

// array is an array of numbers from a file.
type array struct {
	shape    []int
	values   []float64 // In C order.
	rounding float64
}

// array reads an array with a number of dimensions; it returns nil for an optional array that is not in the file. Of an array
// with one more dimension it takes the environment.
func (f *file) array(name string, dimensions int, required bool) (*array, error) {
	name, err := f.nameOf(name)
	if err != nil {
		return nil, err
	}
	a, err := f.numbers(name, dimensions, required)
	if a == nil || err != nil {
		return nil, err
	}
	return f.choose(name, a, dimensions)
}

// numbers reads an array with a number of dimensions or one more.
func (f *file) numbers(name string, dimensions int, required bool) (*array, error) {
	header, body, err := f.open(name, required)
	if header == nil || err != nil {
		return nil, err
	}
	if n := len(header.Descr.Shape); n != dimensions && n != dimensions+1 {
		return nil, f.wrong(name, fmt.Sprintf("shape %v", header.Descr.Shape), fmt.Sprintf("%d dimensions, or %d with one for environments", dimensions, dimensions+1))
	}
	a := &array{shape: header.Descr.Shape}
	kind := elementType(header)
	switch kind {
	case "f2":
		a.rounding = 1.0 / (1 << 11)
		a.values, err = values[float16.Num](body, func(v float16.Num) float64 { return float64(v.Float32()) })
	case "f4":
		a.rounding = 1.0 / (1 << 24)
		a.values, err = floats(header, body, 4, convert[float32])
	case "f8":
		a.values, err = floats(header, body, 8, convert[float64])
	case "b1":
		a.values, err = values[bool](body, func(v bool) float64 {
			if v {
				return 1
			}
			return 0
		})
	case "i1":
		a.values, err = convert[int8](body)
	case "i2":
		a.values, err = convert[int16](body)
	case "i4":
		a.values, err = convert[int32](body)
	case "i8":
		a.values, err = convert[int64](body)
	case "u1":
		a.values, err = convert[uint8](body)
	case "u2":
		a.values, err = convert[uint16](body)
	case "u4":
		a.values, err = convert[uint32](body)
	case "u8":
		a.values, err = convert[uint64](body)
	default:
		return nil, f.wrong(name, "type "+header.Descr.Type, "float16, float32, float64, integers or booleans")
	}
	if err != nil {
		return nil, f.unreadable(name, "invalid array", err)
	}
	if header.Descr.Fortran {
		a.values = rowMajor(a.values, a.shape)
	}
	return a, nil
}

// names reads an array of text; it returns nil for an optional array that is not in the file.
func (f *file) names(name string, required bool) (names []string, err error) {
	header, body, err := f.open(name, required)
	if header == nil || err != nil {
		return nil, err
	}
	if kind := elementType(header); len(header.Descr.Shape) != 1 || header.Descr.Shape[0] > maxNames || kind == "" || kind[0] != 'U' && kind[0] != 'S' {
		return nil, f.wrong(name, fmt.Sprintf("type %s of shape %v", header.Descr.Type, header.Descr.Shape), fmt.Sprintf("text, one dimension of at most %d", maxNames))
	}
	if err := decode(body, &names); err != nil {
		return nil, f.unreadable(name, "invalid array of text", err)
	}
	return names, nil
}

// open unpacks an array and checks that its size agrees with its header, so that readers can rely on the header. It returns nil
// for an optional array that is not in the file.
func (f *file) open(name string, required bool) (*npy.Header, []byte, error) {
	entry, ok := f.entries[name]
	if !ok {
		if !required {
			return nil, nil, nil
		}
		return nil, nil, f.unreadable(name, "array not found", nil)
	}
	tooLarge := func() error {
		return f.unreadable(name, fmt.Sprintf("too large: all arrays together may have %d bytes", MaxBytes), nil)
	}
	if entry.UncompressedSize64 > uint64(f.left) { // Before reading, which would fill the memory.
		return nil, nil, tooLarge()
	}
	in, err := entry.Open()
	if err != nil {
		return nil, nil, f.unreadable(name, "cannot unpack", err)
	}
	defer in.Close()
	body, err := io.ReadAll(io.LimitReader(in, f.left+1))
	if err != nil {
		return nil, nil, f.unreadable(name, "cannot unpack", err)
	}
	if f.left -= int64(len(body)); f.left < 0 {
		return nil, nil, tooLarge()
	}
	header, size, err := readHeader(body)
	if err != nil {
		return nil, nil, f.unreadable(name, "not an array as numpy.save writes it", err)
	}
	elements := int64(1)
	for _, d := range header.Descr.Shape {
		if d < 0 || d > MaxBytes || elements*int64(d) > MaxBytes {
			return nil, nil, f.wrong(name, fmt.Sprintf("shape %v", header.Descr.Shape), fmt.Sprintf("at most %d bytes", MaxBytes))
		}
		elements *= int64(d)
	}
	if width := elementBytes(elementType(header)); width > 0 && elements*width != int64(len(body)-size) {
		return nil, nil, f.wrong(name, fmt.Sprintf("%d bytes", len(body)-size), fmt.Sprintf("%d, for shape %v of %s", elements*width, header.Descr.Shape, header.Descr.Type))
	}
	return header, body, nil
}

// readHeader reads the header of an array and returns its size. The library does not validate its input, so readHeader checks
// lengths before and recovers panics.
func readHeader(body []byte) (_ *npy.Header, size int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed header: %v", p)
		}
	}()
	if len(body) < 12 {
		return nil, 0, fmt.Errorf("%d bytes", len(body))
	}
	size = 10 + int(binary.LittleEndian.Uint16(body[8:]))
	if body[6] > 1 {
		size = 12 + int(min(binary.LittleEndian.Uint32(body[8:]), maxHeaderBytes+1))
	}
	if size > maxHeaderBytes || size > len(body) {
		return nil, 0, fmt.Errorf("header of %d bytes", size)
	}
	r, err := npy.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	return &r.Header, size, nil
}

// decode reads the values of an array that open has checked into to.
func decode(body []byte, to any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed array: %v", p)
		}
	}()
	r, err := npy.NewReader(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return r.Read(to)
}

// values reads an array and converts its values.
func values[T any](body []byte, convert func(T) float64) ([]float64, error) {
	var read []T
	if err := decode(body, &read); err != nil {
		return nil, err
	}
	out := make([]float64, len(read))
	for i, v := range read {
		out[i] = convert(v)
	}
	return out, nil
}

// floats reads an array of little-endian floats, as nearly all are, straight from its bytes: the library reads one number at a
// time, which took half the time of a diagnosis. Others it leaves to the library.
func floats(h *npy.Header, body []byte, width int, other func([]byte) ([]float64, error)) ([]float64, error) {
	n := 1
	for _, d := range h.Descr.Shape {
		n *= d
	}
	if !strings.HasPrefix(strings.Trim(h.Descr.Type, "'"), "<") {
		return other(body)
	}
	data, out := body[len(body)-n*width:], make([]float64, n) // open has checked the size.
	for i := range out {
		if width == 4 {
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
		} else {
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
		}
	}
	return out, nil
}

// convert reads an array of numbers.
func convert[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64](body []byte) ([]float64, error) {
	return values(body, func(v T) float64 { return float64(v) })
}

// elementType returns the type of the elements without quotes and byte order, for example f4 or U12.
func elementType(h *npy.Header) string {
	return strings.TrimLeft(strings.Trim(h.Descr.Type, "'"), "<>|=")
}

// elementBytes returns the size of an element, 0 if it is unknown.
func elementBytes(kind string) int64 {
	var n int64
	if len(kind) < 2 {
		return 0
	}
	if _, err := fmt.Sscanf(kind[1:], "%d", &n); err != nil || n < 0 || n > maxHeaderBytes {
		return 0
	}
	if kind[0] == 'U' {
		n *= 4
	}
	return n
}

// narrow converts to float32.
func narrow(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}

// rowMajor converts values of a shape from column-major to row-major order.
func rowMajor(values []float64, shape []int) []float64 {
	out := make([]float64, len(values))
	index := make([]int, len(shape))
	for _, v := range values { // The first index changes fastest.
		at := 0
		for d, size := range shape {
			at = at*size + index[d]
		}
		out[at] = v
		for d := range index {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return out
}
