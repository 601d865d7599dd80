// Package plot draws what policy-doctor found: values of the observation over time, as they were recorded, rebuilt and
// corrected.
//
// It must never be part of what runs on a robot.
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
	// MaxPanels is how many values are drawn.
	MaxPanels = 6
	// maxSteps is how many steps are drawn: more would be a smear.
	maxSteps = 250
)

// WriteSVG draws the first steps of the worst slots of r as SVG, one of each quantity before a second of any: recorded,
// rebuilt (dashed) and, where there are findings, corrected (dotted). One report gives one drawing, byte for byte.
func WriteSVG(w io.Writer, r *doctor.Report) error {
	slots := worst(r)
	if len(slots) == 0 {
		return fmt.Errorf("plot: found no value that was compared, expected one or more")
	}
	panels := make([][]*plot.Plot, len(slots))
	for i, slot := range slots {
		panels[i] = []*plot.Plot{panel(r, slot)}
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

// worst chooses the slots: those of the current step first, as a history repeats them.
func worst(r *doctor.Report) []doctor.Slot {
	var first, second, chosen []doctor.Slot
	seen := map[string]bool{}
	for _, slot := range r.Slots {
		if !seen[slot.Quantity] {
			seen[slot.Quantity] = true
			first = append(first, slot)
		} else {
			second = append(second, slot)
		}
	}
	for _, some := range [][]doctor.Slot{first, second} {
		for _, slot := range some {
			// What agrees is of interest only where all does.
			if len(chosen) < MaxPanels && (!slot.Agrees || r.Slots[0].Agrees) {
				chosen = append(chosen, slot)
			}
		}
	}
	return chosen
}

func panel(r *doctor.Report, slot doctor.Slot) *plot.Plot {
	s := r.Series(slot)
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s: difference %.3g RMS, %.3g corrected", s.Name, slot.RMS, slot.RMSAfter)
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
	p.Y.Max += 0.3 * (p.Y.Max - p.Y.Min) // The legend is at the top, clear of the lines.
	return p
}
