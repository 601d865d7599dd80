// Package latency compares how long tools take for something that is done very often: in percentiles, and with what was lost.
//
// It must never know what is done.
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

// Sample is what one run measured.
type Sample struct {
	Took        []time.Duration
	Lost        int      // What never came, and so has no time.
	Allocations *float64 // For each time; nil where nobody counts.
}

// Row is one tool in one operation. Without samples, Note says why.
type Row struct {
	Operation, Tool string
	Samples         []Sample
	Note            string
}

// Tool is a way to do an operation.
type Tool struct {
	Name    string
	Fails   error // Why it cannot run here.
	Measure func(context.Context) (Sample, error)
}

// Report has the rows of all operations; the first of an operation is what its others are compared with.
type Report struct {
	Header []string
	Count  string // What was done, in the plural: messages.
	Lost   string // What is said of those that were lost; their column is there for people if there are any.
	Rows   []Row
}

// Compare adds an operation. Its tools take turns, so that what else the machine does hits all of them.
func (r *Report) Compare(ctx context.Context, operation string, runs int, tools []Tool, progress func(at string)) error {
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

// percentiles are those of times, and how many times there must be for it to be more than the maximum.
var percentiles = []struct {
	name, key string
	percent   float64
	atLeast   int64
}{
	{"p50", "p50_us", 50, 1},
	{"p99", "p99_us", 99, 100},
	{"p99.9", "p99_9_us", 99.9, 1000},
}

// Table returns the report's percentiles; those that so few times cannot tell are missing.
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

// percentiles takes all runs together, and of their allocations the most.
func (r *Row) percentiles() table.Row {
	all := hdrhistogram.New(1, int64(time.Hour), 3)
	var allocations *float64
	for _, s := range r.Samples {
		for _, d := range s.Took {
			// The only error is a value out of range, and it cannot be.
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
	var most *float64
	if all.TotalCount() > 0 {
		most = us(all.Max())
	}
	out.Values = append(out.Values, most, allocations)
	return out
}

// microseconds writes a time with three digits and a unit.
func microseconds(us float64) string {
	if us >= 999.5 {
		return fmt.Sprintf("%.3g ms", us/1000)
	}
	return fmt.Sprintf("%.3g µs", us)
}
