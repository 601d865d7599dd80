package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Spec describes a wheel of Python sources, which any Python 3 can use.
type Spec struct {
	Project        string   // As in its file's name: lower case, with "_".
	Version        string   // As PEP 440 normalizes it.
	Summary        string   // One line.
	License        string   // Its SPDX identifier.
	RequiresPython string   // Such as ">=3.10".
	RequiresDist   []string // Such as "numpy>=1.24".
}

// versionForm is what versions look like once they are normalized; no local ones and no epochs, which we have no use for.
var versionForm = regexp.MustCompile(`^(0|[1-9]\d*)(\.(0|[1-9]\d*))*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?$`)

// SourceFile is a file of a wheel to be written.
type SourceFile struct {
	Name    string // Path in the wheel, which is that below the folder where it is installed.
	Content []byte
}

// Filename returns the name that the wheel's file must have.
func (s Spec) Filename() string { return s.Project + "-" + s.Version + "-py3-none-any.whl" }

// Validate says what is wrong with a spec.
func (s Spec) Validate() error {
	if !projectForm.MatchString(s.Project) || strings.ReplaceAll(Normalize(s.Project), "-", "_") != s.Project {
		return fmt.Errorf("project %q is not a name of lower case letters, digits and _", s.Project)
	}
	if !versionForm.MatchString(s.Version) {
		return fmt.Errorf("version %q is not one that PEP 440 leaves as it is, such as 1.2.3 or 1.2rc1", s.Version)
	}
	for name, line := range map[string]string{"summary": s.Summary, "license": s.License} {
		if line == "" || strings.TrimSpace(line) != line || strings.ContainsAny(line, "\r\n") {
			return fmt.Errorf("%s %q is not one line of text", name, line)
		}
	}
	if _, err := pep440.ParseSpecifier(s.RequiresPython); err != nil || s.RequiresPython == "" {
		return errors.Join(fmt.Errorf("required Python %q is not a condition such as >=3.10", s.RequiresPython), err)
	}
	for _, r := range s.RequiresDist {
		if _, err := ParseRequirement(r); err != nil {
			return err
		}
	}
	return nil
}

// Write writes a wheel. The same spec and files, in any order, give the same bytes: entries are sorted, not compressed,
// of mode 0644 and of 1980, the first year that an archive of this kind can tell.
func Write(w io.Writer, s Spec, files []SourceFile) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("there are no files to put into the wheel")
	}
	files = slices.SortedFunc(slices.Values(files), func(a, b SourceFile) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range files {
		if err := safe(f.Name); err != nil {
			return err
		}
		top, _, _ := strings.Cut(f.Name, "/")
		if strings.HasSuffix(top, ".dist-info") || strings.HasSuffix(top, ".data") {
			return fmt.Errorf("%s is in a folder that has a meaning in a wheel", f.Name)
		}
		if i > 0 && files[i-1].Name == f.Name {
			return fmt.Errorf("%s is there twice", f.Name)
		}
	}
	// At the end, as the format recommends: RECORD is the last.
	info := s.Project + "-" + s.Version + ".dist-info/"
	files = append(files,
		SourceFile{info + "METADATA", s.metadata()},
		SourceFile{info + "WHEEL", []byte("Wheel-Version: 1.0\nGenerator: krabby\nRoot-Is-Purelib: true\nTag: py3-none-any\n")},
	)
	record, err := writeRecord(files, info+"RECORD")
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, f := range append(files, SourceFile{info + "RECORD", record}) {
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

func writeRecord(files []SourceFile, self string) ([]byte, error) {
	var b bytes.Buffer
	rows := csv.NewWriter(&b)
	for _, f := range files {
		h := sha256.New()
		h.Write(f.Content)
		if err := rows.Write([]string{f.Name, "sha256=" + encode(h), strconv.Itoa(len(f.Content))}); err != nil {
			return nil, err
		}
	}
	err := rows.Write([]string{self, "", ""})
	rows.Flush()
	return b.Bytes(), errors.Join(err, rows.Error())
}
