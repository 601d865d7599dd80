package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Diff returns the changes that Write makes, one line for each field. It returns no lines for an unchanged file.
func (f *File) Diff() ([]string, error) {
	before, err := decode(f.raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	var lines []string
	for _, section := range union(before, f.sections) {
		for _, name := range union(before[section], f.sections[section]) {
			old, new := before[section][name], f.sections[section][name]
			for _, field := range union(old, new) {
				was, is := text(old, field), text(new, field)
				if was == is {
					continue
				}
				where := fmt.Sprintf("%s %s: %s", section, name, field)
				if was != "" {
					lines = append(lines, fmt.Sprintf("- %s %s", where, was))
				}
				if is != "" {
					lines = append(lines, fmt.Sprintf("+ %s %s", where, is))
				}
			}
		}
	}
	after, err := f.Bytes()
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 && !bytes.Equal(f.raw, after) {
		lines = append(lines, "~ layout only: order of keys or white space")
	}
	return lines, nil
}

// text returns a field as JSON, or "" if the entry has no such field.
func text(e Entry, field string) string {
	value, ok := e[field]
	if !ok {
		return ""
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// union returns the sorted keys of both maps.
func union[V any, M ~map[string]V](a, b M) []string {
	both := maps.Clone(a)
	if both == nil {
		both = M{}
	}
	maps.Copy(both, b)
	return slices.Sorted(maps.Keys(both))
}
