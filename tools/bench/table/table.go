// Package table compares tools: the median of what each took for an operation, and how it compares with the first.
//
// It must never measure anything itself.
package table

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Run is what one tool took once. Fields that were not measured are nil.
type Run struct {
	Time           time.Duration
	Read, Written  *int64 // Bytes by system calls.
	Sent, Received *int64 // Bytes to and from the registry.
}

// Row is one tool in one operation. Without runs, Note says why.
type Row struct {
	Operation, Tool string
	Runs            []Run
	Note            string
}

// Table is a report. Rows of an operation lie together, and the first of them is what the others are compared with.
type Table struct {
	Header []string // Lines about machine and versions.
	Rows   []Row
}

// Result is the median of each column over a row's runs; ratios are to the operation's first row.
type Result struct {
	Operation string   `json:"operation"`
	Tool      string   `json:"tool"`
	Runs      int      `json:"runs"`
	TimeS     *Measure `json:"time_s,omitempty"`
	Read      *Measure `json:"read_bytes,omitempty"`
	Written   *Measure `json:"written_bytes,omitempty"`
	Sent      *Measure `json:"sent_bytes,omitempty"`
	Received  *Measure `json:"received_bytes,omitempty"`
	Note      string   `json:"note,omitempty"`
}

// Measure is a median, and in all rows but an operation's first its ratio to that row's.
type Measure struct {
	Median float64  `json:"median"`
	Ratio  *float64 `json:"ratio,omitempty"`
}

// columns are the measures of a result, in their order on paper.
func (r *Result) columns() []**Measure {
	return []**Measure{&r.TimeS, &r.Read, &r.Written, &r.Sent, &r.Received}
}

func values(run Run) []*float64 {
	bytes := func(n *int64) *float64 {
		if n == nil {
			return nil
		}
		f := float64(*n)
		return &f
	}
	seconds := run.Time.Seconds()
	return []*float64{&seconds, bytes(run.Read), bytes(run.Written), bytes(run.Sent), bytes(run.Received)}
}

// Results returns the medians and ratios of all rows.
func (t *Table) Results() []Result {
	results := make([]Result, len(t.Rows))
	first := 0
	for i, row := range t.Rows {
		if row.Operation != t.Rows[first].Operation {
			first = i
		}
		results[i] = Result{Operation: row.Operation, Tool: row.Tool, Runs: len(row.Runs), Note: row.Note}
		for column, cell := range results[i].columns() {
			var all []float64
			for _, run := range row.Runs {
				if value := values(run)[column]; value != nil {
					all = append(all, *value)
				}
			}
			if len(all) == 0 {
				continue
			}
			*cell = &Measure{Median: Median(all)}
			if reference := *results[first].columns()[column]; i != first && reference != nil && reference.Median > 0 {
				ratio := (*cell).Median / reference.Median
				(*cell).Ratio = &ratio
			}
		}
	}
	return results
}

// Median of some values: the middle one, or the mean of the two in the middle. There must be one at least.
func Median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Text writes the table for people.
func (t *Table) Text(to io.Writer) error {
	for _, line := range t.Header {
		fmt.Fprintln(to, line)
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "operation\ttool\ttime\tread\twritten\tto registry\tfrom registry")
	operation := ""
	var notes []string
	for _, r := range t.Results() {
		shown := ""
		if r.Operation != operation {
			operation, shown = r.Operation, r.Operation
		}
		cells := []string{shown, r.Tool}
		for column, cell := range r.columns() {
			cells = append(cells, (*cell).text(column == 0))
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
		if r.Note != "" {
			notes = append(notes, fmt.Sprintf("%s, %s: %s", r.Operation, r.Tool, r.Note))
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

func (m *Measure) text(seconds bool) string {
	if m == nil {
		return "-"
	}
	text := Size(m.Median)
	if seconds {
		text = fmt.Sprintf("%.3f s", m.Median)
	}
	if m.Ratio != nil {
		text += fmt.Sprintf(" (%.3gx)", *m.Ratio)
	}
	return text
}

// Size writes bytes with a unit of powers of 1000, as registries count.
func Size(bytes float64) string {
	units := []string{"B", "kB", "MB", "GB"}
	for len(units) > 1 && bytes >= 999.5 {
		bytes /= 1000
		units = units[1:]
	}
	return fmt.Sprintf("%.3g %s", bytes, units[0])
}

// JSON writes the table for programs.
func (t *Table) JSON(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		About   []string `json:"about"`
		Results []Result `json:"results"`
	}{t.Header, t.Results()})
}
