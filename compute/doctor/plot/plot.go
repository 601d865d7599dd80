// Package plot draws a report of package doctor: elements of the observation over time, recorded, rebuilt and corrected.
//
// No robot program may import it.
package plot

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"krabby.dev/krabby/compute/doctor"
)

const (
	width  = 10 * vg.Inch
	height = 2.2 * vg.Inch // Of one panel.
	// maxSteps is the largest number of steps in a drawing; more are illegible.
	maxSteps = 250

	// MaxPanels is the largest number of elements in a drawing.
	MaxPanels = 6
)

// WriteSVG draws the first steps of the elements with the largest residuals as SVG, one element of each quantity before a
// second of any: recorded, rebuilt (dashed) and, if r has findings, corrected (dotted). The same report gives the same bytes.
func WriteSVG(w io.Writer, r *doctor.Report) error {
	elements := worst(r)
	if len(elements) == 0 {
		return fmt.Errorf("plot: no element was compared")
	}
	panels := make([][]*plot.Plot, len(elements))
	for i, element := range elements {
		panels[i] = []*plot.Plot{panel(r, element)}
	}
	canvas := vgsvg.New(width, height*vg.Length(len(panels)))
	tiles := draw.Tiles{Rows: len(panels), Cols: 1, PadY: vg.Millimeter * 4, PadRight: vg.Millimeter * 3, PadTop: vg.Millimeter * 2}
	for i, row := range plot.Align(panels, tiles, draw.New(canvas)) {
		panels[i][0].Draw(row[0])
	}
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("plot: writing: %w", err)
	}
	return nil
}

// worst returns the elements to draw.
func worst(r *doctor.Report) []doctor.Element {
	var first, second, chosen []doctor.Element
	seen := map[string]bool{}
	for _, element := range r.Elements {
		if !seen[element.Quantity] {
			seen[element.Quantity] = true
			first = append(first, element)
		} else {
			second = append(second, element)
		}
	}
	for _, element := range append(first, second...) {
		// Draw elements that agree only if all elements agree.
		if len(chosen) < MaxPanels && (!element.Agrees || r.Elements[0].Agrees) {
			chosen = append(chosen, element)
		}
	}
	return chosen
}

// panel draws one element.
func panel(r *doctor.Report, element doctor.Element) *plot.Plot {
	s := r.Series(element)
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s: residual %.3g RMS, %.3g corrected", s.Name, element.RMS, element.RMSAfter)
	p.X.Label.Text, p.Y.Label.Text = "s", s.Unit
	p.Legend.Top, p.Legend.Padding = true, vg.Points(2)
	p.Legend.TextStyle.Font.Size = 8
	lines := []struct {
		name   string
		values []float64
		color  color.Color
		width  vg.Length
		dashes []vg.Length
	}{
		{"recorded", s.Recorded, color.RGBA{R: 200, G: 60, B: 40, A: 255}, vg.Points(1.8), nil},
		{"rebuilt", s.Rebuilt, color.RGBA{R: 50, G: 90, B: 180, A: 255}, vg.Points(1), []vg.Length{vg.Points(4), vg.Points(3)}},
		{"corrected", s.Corrected, color.RGBA{A: 255}, vg.Points(1), []vg.Length{vg.Points(1), vg.Points(2)}},
	}
	if len(r.Findings) == 0 {
		lines = lines[:2]
	}
	for _, l := range lines {
		line := &plotter.Line{LineStyle: draw.LineStyle{Color: l.color, Width: l.width, Dashes: l.dashes}}
		for t, v := range l.values[:min(len(l.values), maxSteps)] {
			if !math.IsNaN(v) {
				line.XYs = append(line.XYs, plotter.XY{X: s.TimeS[t], Y: v})
			}
		}
		if len(line.XYs) > 0 {
			p.Add(line)
			p.Legend.Add(l.name, line)
		}
	}
	p.Y.Max += 0.3 * (p.Y.Max - p.Y.Min) // Room for the legend above the lines.
	return p
}
