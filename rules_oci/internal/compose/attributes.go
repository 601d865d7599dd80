package compose

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"krabby.dev/rules_oci/internal/jsontree"
)

// Attributes are the attributes of oci_image. Those of type *string have the text of the attribute's file, and are nil if not set.
type Attributes struct {
	Created      *string // A time in RFC 3339.
	Entrypoint   *string // Lines. Removes the Cmd of the base.
	Cmd          *string // Lines.
	ExposedPorts *string // Separated by commas; added to those of the base.
	Volumes      *string // Separated by commas; added to those of the base.
	Env          *string // Lines NAME=value; $NAME and ${NAME} expand from the base and earlier lines.
	Labels       *string // Lines name=value; added to those of the base.
	Annotations  *string // Lines name=value; added to those of the base's manifest.
	User         string
	WorkDir      string
}

// apply applies the attributes in the order of rules_oci, which is the order of new keys.
func (a Attributes) apply(manifest, config *jsontree.Object) error {
	changes, inner := &jsontree.Object{}, &jsontree.Object{}
	set := func(key string, value any) {
		changes.Set("config", inner)
		inner.Set(key, value)
	}
	if a.Created != nil {
		if _, err := time.Parse(time.RFC3339, *a.Created); err != nil {
			return fmt.Errorf("attribute created: found %q, expected a time such as 2006-01-02T15:04:05Z, without line break", *a.Created)
		}
		changes.Set("created", *a.Created)
	}
	if a.Entrypoint != nil {
		set("Cmd", nil)
		set("Entrypoint", jsontree.StringArray(arguments(*a.Entrypoint)))
	}
	if a.Cmd != nil {
		set("Cmd", jsontree.StringArray(arguments(*a.Cmd)))
	}
	for _, list := range []struct {
		attribute, key string
		text           *string
	}{{"exposed_ports", "ExposedPorts", a.ExposedPorts}, {"volumes", "Volumes", a.Volumes}} {
		if list.text == nil {
			continue
		}
		names, err := nameSet(*list.text)
		if err != nil {
			return fmt.Errorf("attribute %s: %w", list.attribute, err)
		}
		set(list.key, names)
	}
	if a.Env != nil {
		env, err := mergeEnv(config, *a.Env)
		if err != nil {
			return fmt.Errorf("config of the base: %w", err)
		}
		set("Env", jsontree.StringArray(env))
	}
	if a.Labels != nil {
		set("Labels", dictionary(*a.Labels))
	}
	if a.User != "" {
		set("User", a.User)
	}
	if a.WorkDir != "" {
		set("WorkingDir", a.WorkDir)
	}
	config.Merge(changes)
	if merged, ok := config.Get("config").(*jsontree.Object); ok && merged.Get("Cmd") == nil {
		merged.Delete("Cmd")
	}
	return a.annotate(manifest)
}

// annotate adds the annotations to the manifest.
func (a Attributes) annotate(manifest *jsontree.Object) error {
	if a.Annotations == nil {
		return nil
	}
	annotations, err := manifest.Object("annotations")
	if err != nil {
		return fmt.Errorf("manifest of the base: %w", err)
	}
	annotations.Merge(dictionary(*a.Annotations))
	return nil
}

// arguments returns the lines of a text that are not empty. %5Cn stands for a line break in an argument.
func arguments(text string) []string {
	lines := nonEmptyLines(text)
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, "%5Cn", "\n")
	}
	return lines
}

func nonEmptyLines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// nameSet returns names that are separated by commas as the keys of an object.
func nameSet(text string) (*jsontree.Object, error) {
	set := &jsontree.Object{}
	if strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("found a line break in %q, expected names separated by commas", text)
	}
	if text == "" {
		return set, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		set.Set(name, &jsontree.Object{})
	}
	return set, nil
}

// dictionary returns lines name=value as an object.
func dictionary(text string) *jsontree.Object {
	dict := &jsontree.Object{}
	for _, line := range nonEmptyLines(text) {
		name, value, _ := strings.Cut(line, "=")
		dict.Set(name, value)
	}
	return dict
}

// reference matches the names in a value of env that are expanded. As in rules_oci, both braces are optional.
var reference = regexp.MustCompile(`\$\{?([a-zA-Z0-9_]+)\}?`)

// mergeEnv returns the environment of the config with the lines of text. A name has one entry: if the base has more, the last one counts.
func mergeEnv(config *jsontree.Object, text string) ([]string, error) {
	inner, ok := config.Get("config").(*jsontree.Object)
	if !ok {
		inner = &jsontree.Object{}
	}
	base, err := inner.Strings("Env")
	if err != nil {
		return nil, err
	}
	env := &jsontree.Object{}
	for _, entry := range base {
		name, value, _ := strings.Cut(entry, "=")
		env.Set(name, value)
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env.Set(name, reference.ReplaceAllStringFunc(value, func(match string) string {
			// An unknown name expands to nothing.
			value, _ := env.Get(reference.FindStringSubmatch(match)[1]).(string)
			return value
		}))
	}
	entries := make([]string, len(env.Keys()))
	for i, name := range env.Keys() {
		entries[i] = name + "=" + env.Get(name).(string)
	}
	return entries, nil
}
