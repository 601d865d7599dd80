package main

import (
	"fmt"
	"slices"
	"time"

	"krabby.dev/krabby/tools/bench/table"
)

// outcome is the result of one run of a tool. Nil fields were not measured.
type outcome struct {
	Time           time.Duration
	Read, Written  *int64 // Bytes by system calls.
	Sent, Received *int64 // Bytes to and from the registry.
	Tests          *int64 // Number of tests that ran.
}

// row has the runs of one tool in one operation. The note of a row without runs gives the reason.
type row struct {
	Operation, Tool string
	Runs            []outcome
	Note            string
}

// report has the rows of all operations.
type report struct {
	Header []string
	Rows   []row
}

// table returns the medians of each row's runs.
func (r *report) table() *table.Table {
	tests := table.Column{Key: "tests", Text: func(n float64) string { return fmt.Sprintf("%.0f", n) }}
	if slices.ContainsFunc(r.Rows, func(r row) bool { return len(r.Runs) > 0 && r.Runs[0].Tests != nil }) {
		tests.Name = "tests run"
	}
	t := &table.Table{
		Header: r.Header,
		Columns: []table.Column{
			{Key: "runs"},
			{Name: "time", Key: "time_s", Text: func(s float64) string { return fmt.Sprintf("%.3f s", s) }, Compared: true},
			{Name: "read", Key: "read_bytes", Text: bytesText, Compared: true},
			{Name: "written", Key: "written_bytes", Text: bytesText, Compared: true},
			{Name: "to registry", Key: "sent_bytes", Text: bytesText, Compared: true},
			{Name: "from registry", Key: "received_bytes", Text: bytesText, Compared: true},
			tests,
		},
	}
	for _, row := range r.Rows {
		runs := float64(len(row.Runs))
		out := table.Row{Operation: row.Operation, Tool: row.Tool, Values: []*float64{&runs}, Note: row.Note}
		for _, value := range []func(outcome) *float64{
			func(r outcome) *float64 { s := r.Time.Seconds(); return &s },
			func(r outcome) *float64 { return number(r.Read) },
			func(r outcome) *float64 { return number(r.Written) },
			func(r outcome) *float64 { return number(r.Sent) },
			func(r outcome) *float64 { return number(r.Received) },
			func(r outcome) *float64 { return number(r.Tests) },
		} {
			var all []float64
			for _, r := range row.Runs {
				if v := value(r); v != nil {
					all = append(all, *v)
				}
			}
			out.Values = append(out.Values, median(all))
		}
		t.Rows = append(t.Rows, out)
	}
	return t
}

func number(n *int64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}

// median returns the middle value, the mean of the two middle values, or nil if there are no values.
func median(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	middle := values[len(values)/2]
	if len(values)%2 == 0 {
		middle = (values[len(values)/2-1] + middle) / 2
	}
	return &middle
}

// bytesText formats a number of bytes with a unit of powers of 1000.
func bytesText(bytes float64) string {
	units := []string{"B", "kB", "MB", "GB"}
	for len(units) > 1 && bytes >= 999.5 {
		bytes /= 1000
		units = units[1:]
	}
	return fmt.Sprintf("%.3g %s", bytes, units[0])
}
