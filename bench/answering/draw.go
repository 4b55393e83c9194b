package main

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

const (
	modeSync  = "sync"
	modeAsync = "async"
	// half is how far the two modes of a case are from its middle.
	half = 0.19
)

// draw draws a row for each case: from p50 to p99 in both modes, on a
// logarithmic axis, with the figure of p99 and the share of answers that was
// accepted.
func (r *result) draw(file string) error {
	p := plot.New()
	p.Title.Text = "How long an author waits, p50 to p99, and how many answers are accepted: " + r.Where
	p.Title.Padding = vg.Points(8)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, ticks{}
	grid := plotter.NewGrid()
	grid.Horizontal.Width = 0
	p.Add(grid)

	var cases []measured
	for _, m := range r.Measured {
		if m.Mode == modeSync {
			cases = append(cases, m)
		}
	}
	names := make([]string, len(cases))
	least, most := math.Inf(1), 0.0
	for i, c := range cases {
		at := float64(len(cases) - 1 - i) // the axis goes up
		names[len(cases)-1-i] = c.label()
		for _, m := range r.Measured {
			if m.label() != c.label() {
				continue
			}
			if err := row(p, m, at); err != nil {
				return err
			}
			least, most = min(least, m.p50()), max(most, m.p99())
		}
	}
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.6, float64(len(cases))-0.4
	p.X.Min, p.X.Max = least*0.6, most*14 // room for figures
	if err := legend(p); err != nil {
		return err
	}
	return p.Save(10*vg.Inch, vg.Length(len(cases))*0.36*vg.Inch+1.1*vg.Inch, file)
}

func colorOf(mode string) color.Color {
	if mode == modeAsync {
		return color.RGBA{R: 38, G: 110, B: 190, A: 255}
	}
	return color.RGBA{R: 200, G: 96, B: 60, A: 255}
}

// row is a case in one mode.
func row(p *plot.Plot, m measured, at float64) error {
	at += half
	if m.Mode == modeAsync {
		at -= 2 * half
	}
	from, to := m.p50(), max(m.p99(), m.p50()*1.02) // never nothing
	line, err := plotter.NewLine(plotter.XYs{{X: from, Y: at}, {X: to, Y: at}})
	if err != nil {
		return err
	}
	line.Width, line.Color = vg.Points(7), colorOf(m.Mode)
	text := fmt.Sprintf("%s, %.0f %%", short(m.p99()), math.Floor(100*m.accepted()))
	figure, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: to, Y: at}}, Labels: []string{text}})
	if err != nil {
		return err
	}
	figure.Offset = vg.Point{X: vg.Points(6), Y: -vg.Points(4)}
	figure.TextStyle[0].Font.Size = vg.Points(9)
	p.Add(line, figure)
	return nil
}

func legend(p *plot.Plot) error {
	for _, mode := range []string{modeSync, modeAsync} {
		line, err := plotter.NewLine(plotter.XYs{{X: 1, Y: 0}, {X: 1, Y: 0}})
		if err != nil {
			return err
		}
		line.Width, line.Color = vg.Points(7), colorOf(mode)
		p.Legend.Add(mode, line)
	}
	p.Legend.Top, p.Legend.XOffs = true, -vg.Points(12)
	return nil
}

// short writes milliseconds with two or three figures.
func short(ms float64) string {
	switch {
	case ms >= 1000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
}

// ticks are at powers of ten.
type ticks struct{}

// Ticks names each power of ten, in the unit that one says.
func (ticks) Ticks(least, most float64) (all []plot.Tick) {
	for at := math.Pow(10, math.Floor(math.Log10(least))); at <= most; at *= 10 {
		if at >= least {
			all = append(all, plot.Tick{Value: at, Label: strings.Replace(short(at), ".0 ", " ", 1)})
		}
	}
	return all
}
