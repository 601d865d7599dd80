// Package plot draws a walk over time: velocities, the joints of one leg, and contacts. It must not run on a robot.
package plot

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"krabby.dev/krabby/gameloop/walk"
)

const (
	width  = 10 * vg.Inch
	height = 9 * vg.Inch
	// legJoints is the number of joints to draw: those of the first leg of a robot with leg-major order.
	legJoints = 3
)

// WriteSVG draws r as SVG. From the top: commanded (dashed) and measured velocities, target (dashed) and measured positions of the
// joints of the first leg, and the contacts of each foot. Equal records give equal bytes.
func WriteSVG(w io.Writer, r *walk.Record) error {
	panels := []*plot.Plot{velocities(r), joints(r), contacts(r)}
	rows := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		p.X.Label.Text = "s"
		p.X.Min, p.X.Max = 0, r.Samples[len(r.Samples)-1].Time.Seconds()
		p.Legend.Top, p.Legend.Left = true, false
		p.Legend.TextStyle.Font.Size = 8
		rows[i] = panels[i : i+1]
	}
	canvas := vgsvg.New(width, height)
	tiles := draw.Tiles{Rows: len(panels), Cols: 1, PadY: vg.Millimeter * 4, PadRight: vg.Millimeter * 3, PadTop: vg.Millimeter * 2}
	for i, row := range plot.Align(rows, tiles, draw.New(canvas)) {
		panels[i].Draw(row[0])
	}
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("plot: writing: %w", err)
	}
	return nil
}

func velocities(r *walk.Record) *plot.Plot {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s: velocity of the base, commanded (dashed) and measured", r.Robot)
	p.Y.Label.Text = "m/s, rad/s"
	c := r.Command
	add(p, r, 0, "forward, m/s", false, func(s *walk.Sample) float64 { return s.VelocityMps[0] })
	add(p, r, 0, "", true, func(*walk.Sample) float64 { return c.VxMps })
	add(p, r, 1, "left, m/s", false, func(s *walk.Sample) float64 { return s.VelocityMps[1] })
	add(p, r, 1, "", true, func(*walk.Sample) float64 { return c.VyMps })
	add(p, r, 2, "yaw, rad/s", false, func(s *walk.Sample) float64 { return s.YawRateRadPerSec })
	add(p, r, 2, "", true, func(*walk.Sample) float64 { return c.YawRateRadPerSec })
	makeRoom(p)
	return p
}

func joints(r *walk.Record) *plot.Plot {
	p := plot.New()
	p.Title.Text = "joints of the first leg, commanded (dashed) and measured"
	p.Y.Label.Text = "rad"
	for i, name := range r.Joints[:min(legJoints, len(r.Joints))] {
		add(p, r, i, name, false, func(s *walk.Sample) float64 { return s.PositionRad[i] })
		add(p, r, i, "", true, func(s *walk.Sample) float64 { return s.TargetRad[i] })
	}
	makeRoom(p)
	return p
}

func contacts(r *walk.Record) *plot.Plot {
	p := plot.New()
	p.Title.Text = "feet on the ground"
	var ticks []plot.Tick
	for i, foot := range r.Feet {
		row := float64(len(r.Feet) - i)
		ticks = append(ticks, plot.Tick{Value: row, Label: foot})
		for from := 0; from < len(r.Samples); from++ {
			to := from
			for to < len(r.Samples) && r.Samples[to].Contacts[i] {
				to++
			}
			if to == from {
				continue
			}
			line := &plotter.Line{
				XYs:       plotter.XYs{{X: r.Samples[from].Time.Seconds(), Y: row}, {X: r.Samples[to-1].Time.Seconds(), Y: row}},
				LineStyle: draw.LineStyle{Color: plotutil.Color(i), Width: vg.Points(6)},
			}
			p.Add(line)
			from = to
		}
	}
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	p.Y.Min, p.Y.Max = 0.5, float64(len(r.Feet))+0.5
	return p
}

// makeRoom extends the y axis so that the legend at the top does not cover the lines.
func makeRoom(p *plot.Plot) {
	p.Legend.Padding = vg.Points(2)
	p.Y.Max += 0.4 * (p.Y.Max - p.Y.Min)
}

// add draws one value over time in the i-th color. name is its legend, or empty.
func add(p *plot.Plot, r *walk.Record, i int, name string, dashed bool, value func(*walk.Sample) float64) {
	line := &plotter.Line{LineStyle: draw.LineStyle{Color: plotutil.Color(i), Width: vg.Points(1)}}
	if dashed {
		line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		line.Color = pale(line.Color)
	}
	for at := range r.Samples {
		s := &r.Samples[at]
		line.XYs = append(line.XYs, plotter.XY{X: s.Time.Seconds(), Y: value(s)})
	}
	p.Add(line)
	if name != "" {
		p.Legend.Add(name, line)
	}
}

// pale returns a lighter color.
func pale(c color.Color) color.Color {
	r, g, b, _ := c.RGBA()
	lighter := func(v uint32) uint8 { return uint8((v>>8 + 255) / 2) }
	return color.RGBA{lighter(r), lighter(g), lighter(b), 255}
}
