package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// sample is what one run measured.
type sample struct {
	took        []time.Duration
	lost        int
	allocations *float64 // A message; nil where nobody counts.
}

// row is one tool in one operation. Without samples, note says why.
type row struct {
	operation, tool string
	samples         []sample
	note            string
}

// report compares tools; the first row of an operation is what its others are compared with.
type report struct {
	header []string
	rows   []row
}

// result is a row as it is shown. Percentiles that so few messages cannot tell are nil.
type result struct {
	Operation string `json:"operation"`
	Tool      string `json:"tool"`
	Messages  int    `json:"messages"`
	Lost      int    `json:"lost"`
	// Times are in µs, with three digits.
	P50  *quantity `json:"p50_us,omitempty"`
	P99  *quantity `json:"p99_us,omitempty"`
	P999 *quantity `json:"p99_9_us,omitempty"`
	Max  *quantity `json:"max_us,omitempty"`
	// Allocations are those of Go's heap for a message, the most of all runs.
	Allocations *float64 `json:"allocations,omitempty"`
	Note        string   `json:"note,omitempty"`
}

// quantity is a time, and in all rows but an operation's first its ratio to that row's.
type quantity struct {
	Value float64  `json:"value"`
	Ratio *float64 `json:"ratio,omitempty"`
}

func (r *result) times() []**quantity { return []**quantity{&r.P50, &r.P99, &r.P999, &r.Max} }

// percentiles are those of times, and how many messages there must be for it to be more than the maximum.
var percentiles = []struct {
	percent float64
	atLeast int64
}{{50, 1}, {99, 100}, {99.9, 1000}}

func (r *report) results() []result {
	results := make([]result, len(r.rows))
	first := 0
	for i, row := range r.rows {
		if row.operation != r.rows[first].operation {
			first = i
		}
		results[i] = row.result()
		if i == first {
			continue
		}
		for column, cell := range results[i].times() {
			if reference := *results[first].times()[column]; *cell != nil && reference != nil && reference.Value > 0 {
				ratio := (*cell).Value / reference.Value
				(*cell).Ratio = &ratio
			}
		}
	}
	return results
}

func (r *row) result() result {
	out := result{Operation: r.operation, Tool: r.tool, Note: r.note}
	all := hdrhistogram.New(1, int64(time.Hour), 3)
	for _, s := range r.samples {
		out.Lost += s.lost
		for _, d := range s.took {
			// The only error is a value out of range, and it cannot be.
			_ = all.RecordValue(min(max(int64(d), 1), int64(time.Hour)))
		}
		if s.allocations != nil && (out.Allocations == nil || *s.allocations > *out.Allocations) {
			out.Allocations = s.allocations
		}
	}
	out.Messages = int(all.TotalCount())
	if out.Messages == 0 {
		return out
	}
	us := func(ns int64) *quantity { return &quantity{Value: float64(ns) / float64(time.Microsecond)} }
	for i, p := range percentiles {
		if all.TotalCount() >= p.atLeast {
			*out.times()[i] = us(all.ValueAtPercentile(p.percent))
		}
	}
	out.Max = us(all.Max())
	return out
}

// text writes the report for people.
func (r *report) text(to io.Writer) error {
	for _, line := range r.header {
		fmt.Fprintln(to, line)
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\ttool\tmessages\tp50\tp99\tp99.9\tmax\tallocations")
	operation := ""
	var notes []string
	for _, row := range r.results() {
		shown := ""
		if row.Operation != operation {
			operation, shown = row.Operation, row.Operation
		}
		cells := []string{shown, row.Tool, fmt.Sprint(row.Messages)}
		for _, cell := range row.times() {
			cells = append(cells, (*cell).text())
		}
		allocations := "-"
		if row.Allocations != nil {
			allocations = fmt.Sprintf("%.2f", *row.Allocations)
		}
		fmt.Fprintln(w, strings.Join(append(cells, allocations), "\t"))
		if row.Lost > 0 {
			row.Note = strings.Join(slices.DeleteFunc([]string{row.Note, fmt.Sprintf("%d messages never arrived", row.Lost)}, func(s string) bool { return s == "" }), "; ")
		}
		if row.Note != "" {
			notes = append(notes, fmt.Sprintf("%s, %s: %s", row.Operation, row.Tool, row.Note))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(to, note)
	}
	return nil
}

func (q *quantity) text() string {
	if q == nil {
		return "-"
	}
	text := microseconds(q.Value)
	if q.Ratio != nil {
		text += fmt.Sprintf(" (%.3gx)", *q.Ratio)
	}
	return text
}

// microseconds writes a time with three digits and a unit.
func microseconds(us float64) string {
	if us >= 999.5 {
		return fmt.Sprintf("%.3g ms", us/1000)
	}
	return fmt.Sprintf("%.3g µs", us)
}

// json writes the report for programs.
func (r *report) json(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		About   []string `json:"about"`
		Results []result `json:"results"`
	}{r.header, r.results()})
}
