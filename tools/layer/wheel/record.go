package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// algorithms are the hash algorithms that RECORD may use: SHA-256 and stronger ones.
var algorithms = map[string]func() hash.Hash{"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// withoutHash reports whether a file cannot have a hash in RECORD: RECORD itself and its signatures.
func (w *Wheel) withoutHash(name string) bool {
	return slices.Contains([]string{w.distInfo + "/RECORD", w.distInfo + "/RECORD.jws", w.distInfo + "/RECORD.p7s"}, name)
}

// RecordError is the error for a RECORD that contradicts the files of its wheel.
type RecordError struct{ err error }

func (e *RecordError) Error() string { return "RECORD: " + e.err.Error() }

// Unwrap returns the contradiction.
func (e *RecordError) Unwrap() error { return e.err }

// verify returns a RecordError if RECORD contradicts the files.
func (w *Wheel) verify() error {
	if err := w.compareRecord(); err != nil {
		return &RecordError{err}
	}
	return nil
}

// compareRecord compares the files with RECORD. Each must contain the other's files. Several lines of a file must all be right.
func (w *Wheel) compareRecord() error {
	if w.files[w.distInfo+"/RECORD"] == nil {
		return errors.New("not found")
	}
	record, err := w.metadataFile("RECORD")
	if err != nil {
		return err
	}
	rows := csv.NewReader(bytes.NewReader(record))
	rows.FieldsPerRecord = 3
	lines, err := rows.ReadAll()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, line := range lines {
		name, sum, size := line[0], line[1], line[2]
		f := w.files[name]
		if f == nil {
			return fmt.Errorf("%s not found in the wheel", name)
		}
		if !w.withoutHash(name) {
			if err := verifyFile(f, sum, size); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		seen[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		if !seen[name] && !w.withoutHash(name) {
			return fmt.Errorf("no line for %s of the wheel", name)
		}
	}
	return nil
}

func verifyFile(f *zip.File, sum, size string) error {
	algorithm, want, _ := strings.Cut(sum, "=")
	newHash := algorithms[algorithm]
	if newHash == nil {
		return fmt.Errorf("hash %q: expected sha256, sha384 or sha512", sum)
	}
	if size != "" && size != strconv.FormatUint(f.UncompressedSize64, 10) {
		return fmt.Errorf("expected %s bytes, found %d", size, f.UncompressedSize64)
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	h := newHash()
	_, err = io.Copy(h, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if got := recordHash(h); got != strings.TrimRight(want, "=") {
		return fmt.Errorf("wrong hash: expected %s=%s, found %s=%s", algorithm, want, algorithm, got)
	}
	return nil
}

// recordHash returns a hash in the encoding of RECORD.
func recordHash(h hash.Hash) string { return base64.RawURLEncoding.EncodeToString(h.Sum(nil)) }

// recordLine is a line of RECORD. The hash is SHA-256 as recordHash writes it; the size is in bytes.
type recordLine struct {
	name, hash string
	size       int64
}

// formatRecord returns a RECORD with the lines and a last line for RECORD itself, which has no hash.
func formatRecord(lines []recordLine, self string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, l := range lines {
		if err := w.Write([]string{l.name, "sha256=" + l.hash, strconv.FormatInt(l.size, 10)}); err != nil {
			return nil, err
		}
	}
	err := w.Write([]string{self, "", ""})
	w.Flush()
	return b.Bytes(), errors.Join(err, w.Error())
}
