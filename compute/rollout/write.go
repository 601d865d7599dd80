package rollout

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// Write writes the file, with float64 times and float32 for all else, as numpy.savez does. It appears whole or not at all:
// it is written beside path and then moved there. The error is an *Error where r does not hold what Check demands.
func (r *Rollout) Write(path string) (err error) {
	if err := r.Check(path); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return fmt.Errorf("rollout: writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("rollout: writing %s: %w", path, errors.Join(err, out.Close(), os.Remove(out.Name())))
		}
	}()
	if err := r.Encode(out); err != nil {
		return err
	}
	if err := errors.Join(out.Chmod(0o644), out.Sync()); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return err
	}
	return out.Close()
}

// CheckPath says whether Write could write there: better before a run than after it.
func CheckPath(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return &Error{File: path, Found: "something that is not a regular file", Expected: "a file to write to"}
	}
	probe, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return &Error{File: path, Found: "an error (" + err.Error() + ")", Expected: "a file to write to", Err: err}
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Encode writes what the file has, unchecked.
func (r *Rollout) Encode(w io.Writer) error {
	z := zip.NewWriter(w)
	write := func(name, kind string, shape []int, content func(*bufio.Writer)) error {
		// Stored, as savez does: numbers of sensors hardly shrink.
		entry, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
		if err != nil {
			return err
		}
		b := bufio.NewWriterSize(entry, 1<<16)
		writeHeader(b, kind, shape)
		content(b)
		return b.Flush() // A bufio.Writer remembers its first error.
	}
	text := func(name string, names []string) error {
		longest := 1
		for _, n := range names {
			longest = max(longest, len([]rune(n)))
		}
		return write(name, fmt.Sprintf("<U%d", longest), []int{len(names)}, func(b *bufio.Writer) {
			for _, n := range names {
				runes := make([]rune, longest)
				copy(runes, []rune(n))
				for _, c := range runes {
					_, _ = b.Write(binary.LittleEndian.AppendUint32(b.AvailableBuffer(), uint32(c)))
				}
			}
		})
	}
	if err := text("joint_names", r.JointNames); err != nil {
		return err
	}
	if len(r.FootNames) > 0 {
		if err := text("foot_names", r.FootNames); err != nil {
			return err
		}
	}
	if err := write("time_s", "<f8", []int{r.Steps()}, func(b *bufio.Writer) {
		for _, v := range r.TimeS {
			_, _ = b.Write(binary.LittleEndian.AppendUint64(b.AvailableBuffer(), math.Float64bits(v)))
		}
	}); err != nil {
		return err
	}
	for _, f := range r.Fields() {
		if !f.Array.Present() {
			continue
		}
		if err := write(f.Name, "<f4", []int{r.Steps(), f.Array.Columns}, func(b *bufio.Writer) {
			for _, v := range f.Array.Values {
				_, _ = b.Write(binary.LittleEndian.AppendUint32(b.AvailableBuffer(), math.Float32bits(v)))
			}
		}); err != nil {
			return err
		}
	}
	if r.EpisodeStart != nil {
		if err := write("episode_start", "|b1", []int{r.Steps()}, func(b *bufio.Writer) {
			for _, v := range r.EpisodeStart {
				start := byte(0)
				if v {
					start = 1
				}
				_ = b.WriteByte(start)
			}
		}); err != nil {
			return err
		}
	}
	return z.Close()
}

// writeHeader writes what stands before the numbers of an array, in version 1 of the format. The library that reads arrays
// would write them too, but takes seconds for what a loop does in none, and would make every robot's program 3 MB larger.
func writeHeader(b *bufio.Writer, kind string, shape []int) {
	dimensions := ""
	for _, d := range shape {
		dimensions += fmt.Sprintf("%d,", d)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", kind, dimensions)
	padding := (64 - (10+len(header)+1)%64) % 64
	header += strings.Repeat(" ", padding) + "\n"
	_, _ = b.WriteString("\x93NUMPY\x01\x00")
	_, _ = b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(header))))
	_, _ = b.WriteString(header)
}
