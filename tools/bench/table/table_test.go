package table

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func bytes(n int64) *int64 { return &n }

func example() *Table {
	return &Table{
		Header: []string{"2 CPUs"},
		Rows: []Row{
			{Operation: "build", Tool: "krabby", Runs: []Run{
				{Time: 3 * time.Second, Read: bytes(0), Written: bytes(2_000_000)},
				{Time: time.Second, Read: bytes(0), Written: bytes(1_000_000)},
				{Time: 2 * time.Second, Read: bytes(0), Written: bytes(3_000_000)},
			}},
			{Operation: "build", Tool: "buildah", Runs: []Run{{Time: 5 * time.Second, Read: bytes(7), Written: bytes(1_000_000)}}},
			{Operation: "build", Tool: "crane", Note: "it keeps nothing"},
			{Operation: "push", Tool: "krabby", Runs: []Run{{Time: 500 * time.Millisecond, Sent: bytes(10)}, {Time: 700 * time.Millisecond, Sent: bytes(20)}}},
			{Operation: "push", Tool: "crane", Runs: []Run{{Time: 300 * time.Millisecond, Sent: bytes(30)}}},
		},
	}
}

func TestTextShowsMediansAndRatiosToTheFirstTool(t *testing.T) {
	var out strings.Builder
	if err := example().Text(&out); err != nil {
		t.Fatal(err)
	}
	want := `2 CPUs
operation  tool     time            read  written      to registry  from registry
build      krabby   2.000 s         0 B   2 MB         -            -
           buildah  5.000 s (2.5x)  7 B   1 MB (0.5x)  -            -
           crane    -               -     -            -            -
push       krabby   0.600 s         -     -            15 B         -
           crane    0.300 s (0.5x)  -     -            30 B (2x)    -
build, crane: it keeps nothing
`
	if out.String() != want {
		t.Errorf("Text:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestJSONHasUnitsInNamesAndLeavesOutWhatWasNotMeasured(t *testing.T) {
	var out strings.Builder
	if err := example().JSON(&out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		About   []string
		Results []map[string]any
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.About) != 1 || len(got.Results) != 5 {
		t.Fatalf("JSON has %d lines about the machine and %d results, want 1 and 5", len(got.About), len(got.Results))
	}
	buildah := got.Results[1]
	if at := buildah["time_s"].(map[string]any); at["median"] != 5.0 || at["ratio"] != 2.5 {
		t.Errorf("time_s of buildah = %v, want 5 and 2.5", at)
	}
	if read := buildah["read_bytes"].(map[string]any); read["ratio"] != nil {
		t.Errorf("read_bytes of buildah = %v, want no ratio to zero", read)
	}
	if crane := got.Results[2]; crane["time_s"] != nil || crane["note"] != "it keeps nothing" {
		t.Errorf("the result without runs = %v, want its note alone", crane)
	}
}

func TestMedian(t *testing.T) {
	for name, test := range map[string]struct {
		of   []float64
		want float64
	}{
		"one":             {[]float64{4}, 4},
		"odd, unsorted":   {[]float64{9, 1, 3}, 3},
		"even":            {[]float64{1, 10, 3, 5}, 4},
		"one is far away": {[]float64{1, 1, 1000}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Median(test.of); got != test.want {
				t.Errorf("Median(%v) = %v, want %v", test.of, got, test.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 999_900: "1 MB", 17_062_000: "17.1 MB", 20e9: "20 GB", 20e12: "2e+04 GB"} {
		if got := Size(bytes); got != want {
			t.Errorf("Size(%v) = %q, want %q", bytes, got, want)
		}
	}
}
