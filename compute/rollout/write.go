package rollout

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// Write writes r to a file as numpy.savez does, with float64 times and float32 for all other numbers. It is atomic: it writes a
// temporary file in the same directory and renames it. The error is an *Error if Check rejects r.
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

// CheckPath returns an *Error if Write cannot write to path, so that a program can report it before a run.
func CheckPath(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return &Error{File: path, Problem: "not a regular file"}
	}
	probe, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return PathError(path, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// PathError returns the *Error for an error of package os about a file.
func PathError(path string, err error) *Error {
	problem := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		problem = e.Err
	}
	return &Error{File: path, Problem: problem.Error(), Err: err}
}

// Encode writes the content of the file, without Check.
func (r *Rollout) Encode(w io.Writer) error {
	e := &encoder{zip: zip.NewWriter(w)}
	e.text("joint_names", r.JointNames)
	if len(r.FootNames) > 0 {
		e.text("foot_names", r.FootNames)
	}
	e.array("time_s", "<f8", []int{r.Steps()}, func(b *bufio.Writer) {
		for _, v := range r.TimeS {
			_, _ = b.Write(binary.LittleEndian.AppendUint64(b.AvailableBuffer(), math.Float64bits(v)))
		}
	})
	for _, f := range r.Fields() {
		if !f.Array.Present() {
			continue
		}
		e.array(f.Name, "<f4", []int{r.Steps(), f.Array.Columns}, func(b *bufio.Writer) {
			for _, v := range f.Array.Values {
				_, _ = b.Write(binary.LittleEndian.AppendUint32(b.AvailableBuffer(), math.Float32bits(v)))
			}
		})
	}
	if r.EpisodeStart != nil {
		e.array("episode_start", "|b1", []int{r.Steps()}, func(b *bufio.Writer) {
			for _, v := range r.EpisodeStart {
				start := byte(0)
				if v {
					start = 1
				}
				_ = b.WriteByte(start)
			}
		})
	}
	if e.err != nil {
		return e.err
	}
	return e.zip.Close()
}

// encoder writes arrays until one fails.
type encoder struct {
	zip *zip.Writer
	err error
}

// array writes an array of a numpy type.
func (e *encoder) array(name, kind string, shape []int, content func(*bufio.Writer)) {
	if e.err != nil {
		return
	}
	// Uncompressed, as savez does: compression hardly shrinks sensor values.
	entry, err := e.zip.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: zip.Store})
	if err != nil {
		e.err = err
		return
	}
	b := bufio.NewWriterSize(entry, 1<<16)
	writeHeader(b, kind, shape)
	content(b)
	e.err = b.Flush() // It returns the first error of all writes.
}

// text writes an array of text.
func (e *encoder) text(name string, names []string) {
	longest := 1
	for _, n := range names {
		longest = max(longest, len([]rune(n)))
	}
	e.array(name, fmt.Sprintf("<U%d", longest), []int{len(names)}, func(b *bufio.Writer) {
		for _, n := range names {
			runes := make([]rune, longest)
			copy(runes, []rune(n))
			for _, c := range runes {
				_, _ = b.Write(binary.LittleEndian.AppendUint32(b.AvailableBuffer(), uint32(c)))
			}
		}
	})
}

// writeHeader writes the header of an array, in version 1 of the format. The library of package npz can write arrays too, but it
// takes seconds where this loop takes almost no time, and makes every robot program 3 MB larger.
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
