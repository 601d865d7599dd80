// Package wheeltest writes valid and invalid wheels for tests.
//
// It must not import package wheel, which reads them.
package wheeltest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// File is a file of a wheel.
type File struct {
	Name string // Path in the wheel.
	Mode fs.FileMode
	Body string
}

// Write writes a valid wheel with additional fields of METADATA, such as "Requires-Dist: b", and additional files. It returns the
// path of the wheel.
func Write(t *testing.T, filename string, fields []string, more ...File) string {
	t.Helper()
	parts := strings.Split(filename, "-")
	files := append(more, Metadata(parts[0], parts[1], fields...)...)
	return Pack(t, filename, append(files, Record(parts[0], parts[1], files)))
}

// Metadata returns the metadata files of a wheel without RECORD.
func Metadata(project, version string, fields ...string) []File {
	info := project + "-" + version + ".dist-info/"
	return []File{
		{info + "METADATA", 0o644, fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s\nRequires-Dist: of the description, not a field\n",
			project, version, strings.Join(append(fields, ""), "\n"))},
		{info + "WHEEL", 0o644, "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	}
}

// Record returns the RECORD of files.
func Record(project, version string, files []File) File {
	name := project + "-" + version + ".dist-info/RECORD"
	var b strings.Builder
	for _, f := range files {
		sum, quoted := sha256.Sum256([]byte(f.Body)), f.Name
		if strings.Contains(quoted, ",") {
			quoted = `"` + quoted + `"`
		}
		fmt.Fprintf(&b, "%s,sha256=%s,%d\n", quoted, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.Body))
	}
	return File{name, 0o644, b.String() + name + ",,\n"}
}

// Pack writes a wheel of exactly the given files, valid or not, and returns its path.
func Pack(t *testing.T, filename string, files []File) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate}
		h.SetMode(f.Mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.Body); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filename)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
