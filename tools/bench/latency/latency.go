// Package latency compares the latency of tools in percentiles, and counts lost samples.
//
// It does not depend on the benchmarks.
package latency

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"krabby.dev/krabby/tools/bench/table"
)

// Sample is the result of one run.
type Sample struct {
	Took        []time.Duration
	Lost        int      // Number of lost messages or missed deadlines; they have no time.
	Allocations *float64 // Per element of Took; nil if not counted.
}

// Row has the samples of one tool in one operation. The note of a row without samples gives the reason.
type Row struct {
	Operation, Tool string
	Samples         []Sample
	Note            string
}

// Tool is an implementation of an operation.
type Tool struct {
	Name    string
	Fails   error // Not nil if the tool cannot run here.
	Measure func(context.Context) (Sample, error)
}

// Report has the rows of all operations. Ratios are to the first row of an operation.
type Report struct {
	Header []string
	Count  string // Heading of the number of samples, such as messages.
	Lost   string // Heading of the number of lost samples; the text table has the column if any sample is lost.
	Rows   []Row
}

// Compare measures an operation and adds its rows. The tools alternate, so that other load on the machine affects all of them.
func (r *Report) Compare(ctx context.Context, operation string, runs int, tools []Tool, progress func(step string)) error {
	rows := make([]Row, len(tools))
	for run := range runs {
		for i, tool := range tools {
			rows[i].Operation, rows[i].Tool = operation, tool.Name
			if tool.Fails != nil {
				reason, _, _ := strings.Cut(tool.Fails.Error(), "\n")
				rows[i].Note = "cannot run here: " + reason
				continue
			}
			progress(fmt.Sprintf("%s, %s, run %d of %d", operation, tool.Name, run+1, runs))
			sample, err := tool.Measure(ctx)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", operation, tool.Name, err)
			}
			rows[i].Samples = append(rows[i].Samples, sample)
		}
	}
	r.Rows = append(r.Rows, rows...)
	return nil
}

// percentiles lists the reported percentiles. With fewer than atLeast samples a percentile equals the maximum and is omitted.
var percentiles = []struct {
	name, key string
	percent   float64
	atLeast   int64
}{
	{"p50", "p50_us", 50, 1},
	{"p99", "p99_us", 99, 100},
	{"p99.9", "p99_9_us", 99.9, 1000},
}

// Table returns the report as a table of percentiles.
func (r *Report) Table() *table.Table {
	number := func(n float64) string { return fmt.Sprint(int64(n)) }
	lost := table.Column{Key: "lost", Text: number}
	if slices.ContainsFunc(r.Rows, func(row Row) bool { return row.lost() > 0 }) {
		lost.Name = r.Lost
	}
	t := &table.Table{Header: r.Header}
	t.Columns = append(t.Columns,
		table.Column{Name: r.Count, Key: r.Count, Text: number},
		lost,
	)
	for _, p := range percentiles {
		t.Columns = append(t.Columns, table.Column{Name: p.name, Key: p.key, Text: microseconds, Compared: true})
	}
	t.Columns = append(t.Columns,
		table.Column{Name: "max", Key: "max_us", Text: microseconds, Compared: true},
		table.Column{Name: "allocations", Key: "allocations", Text: func(n float64) string { return fmt.Sprintf("%.2f", n) }},
	)
	for _, row := range r.Rows {
		t.Rows = append(t.Rows, row.percentiles())
	}
	return t
}

func (r *Row) lost() (n int) {
	for _, s := range r.Samples {
		n += s.Lost
	}
	return n
}

// percentiles merges the samples of all runs; allocations are the maximum over the runs.
func (r *Row) percentiles() table.Row {
	all := hdrhistogram.New(1, int64(time.Hour), 3)
	var allocations *float64
	for _, s := range r.Samples {
		for _, d := range s.Took {
			// RecordValue fails only for a value out of range, which min and max exclude.
			_ = all.RecordValue(min(max(int64(d), 1), int64(time.Hour)))
		}
		if s.Allocations != nil && (allocations == nil || *s.Allocations > *allocations) {
			allocations = s.Allocations
		}
	}
	number := func(n float64) *float64 { return &n }
	us := func(ns int64) *float64 { return number(float64(ns) / float64(time.Microsecond)) }
	out := table.Row{Operation: r.Operation, Tool: r.Tool, Note: r.Note}
	out.Values = append(out.Values, number(float64(all.TotalCount())), number(float64(r.lost())))
	for _, p := range percentiles {
		var value *float64
		if all.TotalCount() >= p.atLeast {
			value = us(all.ValueAtPercentile(p.percent))
		}
		out.Values = append(out.Values, value)
	}
	var maximum *float64
	if all.TotalCount() > 0 {
		maximum = us(all.Max())
	}
	out.Values = append(out.Values, maximum, allocations)
	return out
}

// microseconds formats a time with three significant digits and a unit.
func microseconds(us float64) string {
	if us >= 999.5 {
		return fmt.Sprintf("%.3g ms", us/1000)
	}
	return fmt.Sprintf("%.3g µs", us)
}
