package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Spec describes a wheel of Python sources for any Python 3.
type Spec struct {
	Project        string   // Name in lower case with "_", as in the file name.
	Version        string   // Version as PEP 440 normalizes it, without epoch and local version.
	Summary        string   // One line.
	License        string   // SPDX identifier.
	RequiresPython string   // Versions of Python, such as ">=3.10".
	RequiresDist   []string // Requirements, such as "numpy>=1.24".
}

// versionForm matches normalized versions without epoch and local version.
var versionForm = regexp.MustCompile(`^(0|[1-9]\d*)(\.(0|[1-9]\d*))*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?$`)

// SourceFile is a file of a wheel to be written.
type SourceFile struct {
	Name    string // Path in the wheel, relative to the directory of the installation.
	Content []byte
}

// Filename returns the file name of the wheel.
func (s Spec) Filename() string { return s.Project + "-" + s.Version + "-py3-none-any.whl" }

// Validate returns an error for a field that does not have the form that Spec requires.
func (s Spec) Validate() error {
	if !projectForm.MatchString(s.Project) || strings.ReplaceAll(Normalize(s.Project), "-", "_") != s.Project {
		return fmt.Errorf("invalid project %q: expected lower case letters, digits and _", s.Project)
	}
	if !versionForm.MatchString(s.Version) {
		return fmt.Errorf("invalid version %q: expected a version in the normal form of PEP 440, such as 1.2.3 or 1.2rc1", s.Version)
	}
	for name, line := range map[string]string{"summary": s.Summary, "license": s.License} {
		if line == "" || strings.TrimSpace(line) != line || strings.ContainsAny(line, "\r\n") {
			return fmt.Errorf("invalid %s %q: expected one line of text", name, line)
		}
	}
	if _, err := pep440.ParseSpecifier(s.RequiresPython); err != nil || s.RequiresPython == "" {
		return errors.Join(fmt.Errorf("invalid required Python %q: expected a condition such as >=3.10", s.RequiresPython), err)
	}
	for _, r := range s.RequiresDist {
		if _, err := ParseRequirement(r); err != nil {
			return err
		}
	}
	return nil
}

// Write writes a wheel. The same spec and files, in any order, give the same bytes: entries are sorted and not compressed, with
// mode 0644 and the date 1980-01-01, the earliest date of zip archives.
func Write(w io.Writer, s Spec, files []SourceFile) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("no files for the wheel")
	}
	files = slices.SortedFunc(slices.Values(files), func(a, b SourceFile) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range files {
		if err := checkPath(f.Name); err != nil {
			return err
		}
		top, _, _ := strings.Cut(f.Name, "/")
		if strings.HasSuffix(top, ".dist-info") || strings.HasSuffix(top, ".data") {
			return fmt.Errorf("%s: the directories *.dist-info and *.data are reserved", f.Name)
		}
		if i > 0 && files[i-1].Name == f.Name {
			return fmt.Errorf("%s occurs twice", f.Name)
		}
	}
	// The format recommends metadata at the end of the archive, with RECORD last.
	info := s.Project + "-" + s.Version + ".dist-info/"
	files = append(files,
		SourceFile{info + "METADATA", s.metadata()},
		SourceFile{info + "WHEEL", []byte("Wheel-Version: 1.0\nGenerator: krabby\nRoot-Is-Purelib: true\nTag: py3-none-any\n")},
	)
	recordContent, err := record(files, info+"RECORD")
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, f := range append(files, SourceFile{info + "RECORD", recordContent}) {
		const firstOfJanuary1980 = 1<<5 | 1
		h := &zip.FileHeader{Name: f.Name, Method: zip.Store, ModifiedDate: firstOfJanuary1980}
		h.SetMode(0o644)
		entry, err := z.CreateHeader(h)
		if err == nil {
			_, err = entry.Write(f.Content)
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.Name, err)
		}
	}
	return z.Close()
}

func (s Spec) metadata() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: %s\nLicense: %s\nRequires-Python: %s\n",
		s.Project, s.Version, s.Summary, s.License, s.RequiresPython)
	for _, r := range s.RequiresDist {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", r)
	}
	return b.Bytes()
}

// record returns the RECORD of the files.
func record(files []SourceFile, self string) ([]byte, error) {
	var lines []recordLine
	for _, f := range files {
		h := sha256.New()
		h.Write(f.Content)
		lines = append(lines, recordLine{f.Name, recordHash(h), int64(len(f.Content))})
	}
	return formatRecord(lines, self)
}
