// Package table prints measurements of tools by operation, with ratios to the first tool of each operation.
//
// It measures nothing and does not depend on the benchmarks.
package table

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Column is a measured quantity.
type Column struct {
	Name string // Heading in the text table; a column without a name is in JSON only.
	Key  string // Key in JSON, with the unit.
	// Text formats a value for the text table.
	Text func(float64) string
	// Compared adds the ratio to the value in the operation's first row.
	Compared bool
}

// Row has the values of one tool in one operation, in the order of the columns; a nil value was not measured. The note of a row
// without values gives the reason.
type Row struct {
	Operation, Tool string
	Values          []*float64
	Note            string
}

// Table is a report. Rows of an operation are adjacent; ratios are to the first of them.
type Table struct {
	Header  []string // Lines above the table, such as machine and versions.
	Columns []Column
	Rows    []Row
}

// Write writes the table as JSON or as text.
func (t *Table) Write(to io.Writer, asJSON bool) error {
	if asJSON {
		return t.json(to)
	}
	return t.text(to)
}

// ratios returns the ratios of a row's values to those of the first row of its operation; nil where there is none.
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
