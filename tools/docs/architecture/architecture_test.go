package architecture_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"krabby.dev/krabby/tools/docs/architecture"
)

const page = "# Architecture\n\n```\ncmd/        programs\nhal/        layer\n  hal/bus/  sockets\nnope/       nothing\n```\n\n" +
	"<!-- Diagram generated from the imports by `./tools/bazel run //tools/docs`. -->\nold\n<!-- End of the diagram. -->\nafter\n"

func tree() fstest.MapFS {
	source := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		architecture.Page:         source(page),
		"cmd/a/a.go":              source("package a\nimport (\n\t\"krabby.dev/krabby/hal/server\"\n\t\"krabby.dev/krabby/hal/robot\"\n\t\"fmt\"\n)\n"),
		"hal/server/s.go":         source("package server\nimport \"krabby.dev/krabby/hal/robot\"\n"),
		"hal/server/s_test.go":    source("package server\nimport \"krabby.dev/krabby/hal/bus\"\n"),
		"hal/robot/r.go":          source("package robot\n"),
		"hal/bus/b.go":            source("package bus\n"),
		"hal/testdata/x/skip.txt": source(""),
	}
}

func TestUpdate(t *testing.T) {
	got, err := architecture.Update(tree())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"flowchart TD", "  cmd --> hal_server\n", "  hal_server --> hal_robot\n", "hal/bus/  sockets", "\n<!-- End of the diagram. -->\nafter\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	// The diagram omits implied edges and edges of tests, and replaces the old one.
	for _, unwanted := range []string{"cmd --> hal_robot", "hal_server --> hal_bus", "old\n"} {
		if strings.Contains(got, unwanted) {
			t.Errorf("%q in\n%s", unwanted, got)
		}
	}
}

func TestUpdate_noMarkers(t *testing.T) {
	files := tree()
	files[architecture.Page] = &fstest.MapFile{Data: []byte("# Architecture\n")}
	if _, err := architecture.Update(files); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("error = %v, want the missing lines", err)
	}
}

func TestDirectories(t *testing.T) {
	got, err := architecture.Directories(tree())
	want := []string{"nope is listed and does not exist", "cmd/a is not listed", "docs is not listed", "hal/robot is not listed", "hal/server is not listed"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Directories = %q, %v; want %q", got, err, want)
	}
}
