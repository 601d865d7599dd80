package main

import (
	"strings"
	"testing"
	"time"
)

func TestReport_medians(t *testing.T) {
	bytes := func(n int64) *int64 { return &n }
	r := &report{
		Header: []string{"2 CPUs"},
		Rows: []row{
			{Operation: "build", Tool: "krabby", Runs: []outcome{
				{Time: 3 * time.Second, Read: bytes(0), Written: bytes(2_000_000)},
				{Time: time.Second, Read: bytes(0), Written: bytes(1_000_000)},
				{Time: 2 * time.Second, Read: bytes(0), Written: bytes(3_000_000)},
			}},
			{Operation: "build", Tool: "buildah", Runs: []outcome{{Time: 5 * time.Second, Read: bytes(7), Written: bytes(1_000_000)}}},
			{Operation: "build", Tool: "crane", Note: "no cache"},
			{Operation: "push", Tool: "krabby", Runs: []outcome{{Time: 500 * time.Millisecond, Sent: bytes(10)}, {Time: 700 * time.Millisecond, Sent: bytes(20)}}},
			{Operation: "push", Tool: "crane", Runs: []outcome{{Time: 300 * time.Millisecond, Received: bytes(30)}}},
		},
	}
	var out strings.Builder
	if err := r.table().Write(&out, false); err != nil {
		t.Fatal(err)
	}
	want := `2 CPUs
operation  tool     time            read  written      to registry  from registry
build      krabby   2.000 s         0 B   2 MB         -            -
           buildah  5.000 s (2.5x)  7 B   1 MB (0.5x)  -            -
           crane    -               -     -            -            -
push       krabby   0.600 s         -     -            15 B         -
           crane    0.300 s (0.5x)  -     -            -            30 B
build, crane: no cache
`
	if out.String() != want {
		t.Errorf("found:\n%s\nexpected:\n%s", out.String(), want)
	}
}

func TestMedian(t *testing.T) {
	for name, test := range map[string]struct {
		values []float64
		want   float64
	}{
		"one":           {[]float64{4}, 4},
		"odd, unsorted": {[]float64{9, 1, 3}, 3},
		"even":          {[]float64{1, 10, 3, 5}, 4},
		"outlier":       {[]float64{1, 1, 1000}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := median(test.values); got == nil || *got != test.want {
				t.Errorf("found %v, expected %v", got, test.want)
			}
		})
	}
	if got := median(nil); got != nil {
		t.Errorf("no values: found %v, expected nil", *got)
	}
}

func TestBytesText(t *testing.T) {
	for bytes, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 999_900: "1 MB", 17_062_000: "17.1 MB", 20e9: "20 GB", 20e12: "2e+04 GB"} {
		if got := bytesText(bytes); got != want {
			t.Errorf("bytesText(%v) = %q, want %q", bytes, got, want)
		}
	}
}
