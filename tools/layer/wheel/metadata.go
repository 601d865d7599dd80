package wheel

import (
	"fmt"
	"regexp"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// one returns the value of a field that must have one value.
func one(fields headers, name string) (string, error) {
	values := fields[strings.ToLower(name)]
	if len(values) == 0 {
		return "", fmt.Errorf("field %s not found", name)
	}
	for _, v := range values {
		if v != values[0] {
			return "", fmt.Errorf("field %s: found %q and %q, expected one value", name, values[0], v)
		}
	}
	return values[0], nil
}

// readWheel checks the format version of the file WHEEL.
func (w *Wheel) readWheel() error {
	data, err := w.metadataFile("WHEEL")
	if err != nil {
		return err
	}
	version, err := one(parseHeaders(data), "Wheel-Version")
	if err != nil {
		return fmt.Errorf("WHEEL: %w", err)
	}
	if major, _, _ := strings.Cut(version, "."); major != "1" {
		return fmt.Errorf("WHEEL: unsupported format version %q: expected 1.x", version)
	}
	return nil // Root-Is-Purelib matters only for a Python with two directories of modules.
}

func (w *Wheel) readMetadata() error {
	data, err := w.metadataFile("METADATA")
	if err != nil {
		return err
	}
	if w.Metadata, err = parseMetadata(data); err != nil {
		return fmt.Errorf("METADATA: %w", err)
	}
	if Normalize(w.Metadata.Name) != Normalize(w.Filename.Project) {
		return fmt.Errorf("METADATA: found project %q, expected %q of the file name", w.Metadata.Name, w.Filename.Project)
	}
	if !sameVersion(w.Metadata.Version.String(), w.Filename.Version) {
		return fmt.Errorf("METADATA: found version %s, expected %s of the file name", w.Metadata.Version, w.Filename.Version)
	}
	return nil
}

// parseMetadata parses METADATA. Name and Version must be valid. A Requires-Python that is no specifier has no effect, as in pip, and a
// requirement that cannot be parsed is an error where its marker holds.
func parseMetadata(data []byte) (m Metadata, err error) {
	fields := parseHeaders(data)
	if m.Name, err = one(fields, "Name"); err != nil {
		return m, err
	}
	if !projectForm.MatchString(m.Name) {
		return m, fmt.Errorf("invalid project name %q", m.Name)
	}
	version, err := one(fields, "Version")
	if err != nil {
		return m, err
	}
	if m.Version, err = pep440.Parse(version); err != nil {
		return m, err
	}
	if python := fields["requires-python"]; len(python) > 0 {
		m.RequiresPython, _ = pep440.ParseSpecifier(python[0])
	}
	for _, line := range fields["requires-dist"] {
		r, err := ParseRequirement(line)
		r.invalid = err
		m.RequiresDist = append(m.RequiresDist, r)
	}
	return m, nil
}

// entryPoint is a program that the installer creates.
type entryPoint struct{ name, module, attribute string }

var (
	entryPointForm = regexp.MustCompile(`^([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*)\s*:\s*([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*)\s*(?:\[.*\])?$`)
	programForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)
)

// readEntryPoints reads the programs of entry_points.txt. importlib.metadata reads its other sections at run time.
func (w *Wheel) readEntryPoints() error {
	if w.files[w.distInfo+"/entry_points.txt"] == nil {
		return nil
	}
	data, err := w.metadataFile("entry_points.txt")
	if err != nil {
		return err
	}
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if inner, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(inner, "]")
			continue
		}
		if section != "console_scripts" && section != "gui_scripts" {
			continue
		}
		name, object, _ := strings.Cut(line, "=")
		m := entryPointForm.FindStringSubmatch(strings.TrimSpace(object))
		if name = strings.TrimSpace(name); m == nil || !programForm.MatchString(name) {
			return fmt.Errorf("entry_points.txt: found %q, expected PROGRAM = MODULE:FUNCTION", line)
		}
		w.entryPoints = append(w.entryPoints, entryPoint{name, m[1], m[2]})
	}
	return nil
}
