// Package table compares tools: what each measured in an operation, and how it compares with the first.
//
// It must never measure anything itself, nor know what is measured.
package table

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Column is what is measured.
type Column struct {
	Name string // For people; without one, only programs are told.
	Key  string // For programs, with the unit.
	// Text writes a value for people.
	Text func(float64) string
	// Compared says that values have a ratio to that of the operation's first row.
	Compared bool
}

// Row is one tool in one operation. Values are in the order of the columns, and nil where nothing was measured; a row
// without any has a note that says why.
type Row struct {
	Operation, Tool string
	Values          []*float64
	Note            string
}

// Table is a report. Rows of an operation lie together, and the first of them is what the others are compared with.
type Table struct {
	Header  []string // Lines about machine and versions.
	Columns []Column
	Rows    []Row
}

// Write writes the table for programs as JSON, or for people.
func (t *Table) Write(to io.Writer, asJSON bool) error {
	if asJSON {
		return t.json(to)
	}
	return t.text(to)
}

// ratios are those of a row's values to the first row of its operation, and nil where there is nothing to compare.
func (t *Table) ratios(row int) []*float64 {
	first := row
	for first > 0 && t.Rows[first-1].Operation == t.Rows[row].Operation {
		first--
	}
	ratios := make([]*float64, len(t.Columns))
	for i, c := range t.Columns {
		value, reference := t.Rows[row].value(i), t.Rows[first].value(i)
		if c.Compared && row != first && value != nil && reference != nil && *reference > 0 {
			ratio := *value / *reference
			ratios[i] = &ratio
		}
	}
	return ratios
}

func (r *Row) value(column int) *float64 {
	if column >= len(r.Values) {
		return nil
	}
	return r.Values[column]
}

func (t *Table) text(to io.Writer) error {
	for _, line := range t.Header {
		fmt.Fprintln(to, line)
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	head := []string{"operation", "tool"}
	for _, c := range t.Columns {
		if c.Name != "" {
			head = append(head, c.Name)
		}
	}
	fmt.Fprintln(w, strings.Join(head, "\t"))
	var notes []string
	for i, row := range t.Rows {
		cells := []string{row.Operation, row.Tool}
		if i > 0 && row.Operation == t.Rows[i-1].Operation {
			cells[0] = ""
		}
		ratios := t.ratios(i)
		for j, c := range t.Columns {
			if c.Name == "" {
				continue
			}
			cell := "-"
			if value := row.value(j); value != nil {
				cell = c.Text(*value)
			}
			if ratios[j] != nil {
				cell += fmt.Sprintf(" (%.3gx)", *ratios[j])
			}
			cells = append(cells, cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
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

func (t *Table) json(to io.Writer) error {
	type measure struct {
		Value float64  `json:"value"`
		Ratio *float64 `json:"ratio,omitempty"`
	}
	type result struct {
		Operation string             `json:"operation"`
		Tool      string             `json:"tool"`
		Measures  map[string]measure `json:"measures"` // By the keys of the columns.
		Note      string             `json:"note,omitempty"`
	}
	results := make([]result, len(t.Rows))
	for i, row := range t.Rows {
		results[i] = result{row.Operation, row.Tool, map[string]measure{}, row.Note}
		ratios := t.ratios(i)
		for j, c := range t.Columns {
			if value := row.value(j); value != nil {
				results[i].Measures[c.Key] = measure{*value, ratios[j]}
			}
		}
	}
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		About   []string `json:"about"`
		Results []result `json:"results"`
	}{t.Header, results})
}
