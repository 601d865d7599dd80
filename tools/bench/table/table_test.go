package table

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func of(v float64) *float64 { return &v }

func example() *Table {
	return &Table{
		Header: []string{"2 CPUs"},
		Columns: []Column{
			{Key: "runs"},
			{Name: "time", Key: "time_s", Compared: true, Text: func(v float64) string { return fmt.Sprintf("%.3f s", v) }},
			{Name: "read", Key: "read_bytes", Compared: true, Text: func(v float64) string { return fmt.Sprintf("%v B", v) }},
			{Name: "steps", Key: "steps", Text: func(v float64) string { return fmt.Sprint(v) }},
		},
		Rows: []Row{
			{Operation: "build", Tool: "krabby", Values: []*float64{of(3), of(2), of(0), of(7)}},
			{Operation: "build", Tool: "buildah", Values: []*float64{of(1), of(5), of(7), of(14)}},
			{Operation: "build", Tool: "crane", Note: "no cache"},
			{Operation: "push", Tool: "krabby", Values: []*float64{of(2), of(0.6), nil, nil}},
			{Operation: "push", Tool: "crane", Values: []*float64{of(1), of(0.3), of(30), nil}, Note: "one run only"},
			{Operation: "pull", Tool: "buildah", Note: "cannot run here"},
			{Operation: "pull", Tool: "krabby", Values: []*float64{of(1), of(1), nil, nil}},
		},
	}
}

func TestTable_text(t *testing.T) {
	var out strings.Builder
	if err := example().Write(&out, false); err != nil {
		t.Fatal(err)
	}
	want := `2 CPUs
operation  tool     time            read  steps
build      krabby   2.000 s         0 B   7
           buildah  5.000 s (2.5x)  7 B   14
           crane    -               -     -
push       krabby   0.600 s         -     -
           crane    0.300 s (0.5x)  30 B  -
pull       buildah  -               -     -
           krabby   1.000 s         -     -
build, crane: no cache
push, crane: one run only
pull, buildah: cannot run here
`
	if out.String() != want {
		t.Errorf("found:\n%s\nexpected:\n%s", out.String(), want)
	}
}

func TestTable_json(t *testing.T) {
	var out strings.Builder
	if err := example().Write(&out, true); err != nil {
		t.Fatal(err)
	}
	type results []struct {
		Operation, Tool, Note string
		Measures              map[string]map[string]float64
	}
	var got struct {
		About   []string
		Results results
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.About) != 1 || got.About[0] != "2 CPUs" || len(got.Results) != 7 {
		t.Fatalf("found %q and %d results, expected the header and 7", got.About, len(got.Results))
	}
	buildah, crane, push := got.Results[1], got.Results[2], got.Results[4]
	want := "map[read_bytes:map[value:7] runs:map[value:1] steps:map[value:14] time_s:map[ratio:2.5 value:5]]"
	if found := fmt.Sprint(buildah.Measures); buildah.Operation != "build" || buildah.Tool != "buildah" || found != want {
		t.Errorf("%s, %s: found %s, expected build, buildah: %s", buildah.Operation, buildah.Tool, found, want)
	}
	if len(crane.Measures) != 0 || crane.Note != "no cache" {
		t.Errorf("found %+v, expected only a note", crane)
	}
	if want := "map[read_bytes:map[value:30] runs:map[value:1] time_s:map[ratio:0.5 value:0.3]]"; fmt.Sprint(push.Measures) != want {
		t.Errorf("found %v, expected %s", push.Measures, want)
	}
}
