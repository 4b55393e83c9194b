package main

import (
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// bar is a peer in the chart.
type bar struct {
	series, label string
	ours          bool
}

// bars are those of the chart, from its top.
func bars() []bar {
	return []bar{
		{peerBare, "RabbitMQ: bare amqp091 loop", false},
		{peerWorker, "RabbitMQ: the worker", true},
		{peerMany, "RabbitMQ: 128 stock handlers", false},
		{peerStock, "RabbitMQ: stock Watermill", false},
		{peerCelery, "RabbitMQ: Celery", false},
		{sqlWorker, "PostgreSQL: the worker", true},
		{sqlBacklog + many, "PostgreSQL: the worker, larger backlog", true},
		{peerRiver, "PostgreSQL: River", false},
		{peerWatermillSQL, "PostgreSQL: watermill-sql, half of it", false},
	}
}

// chart draws what was drained a second: the median, and least to most.
func (r *result) chart(file string) error {
	p := plot.New()
	p.Title.Text = "Messages drained a second (median; line: least to most)"
	p.X.Min = 0
	p.X.Tick.Marker = ticks{}
	p.Title.Padding = vg.Points(8)
	grid := plotter.NewGrid()
	grid.Horizontal.Width = 0
	p.Add(grid)
	names, most := []string{}, 1.0
	shown := bars()
	for i := len(shown) - 1; i >= 0; i-- { // the axis goes up
		s := r.find(shown[i].series)
		if s == nil {
			continue
		}
		if err := draw(p, float64(len(names)), s, shown[i].ours); err != nil {
			return err
		}
		names, most = append(names, shown[i].label), max(most, s.Most)
	}
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))-0.5
	p.X.Max = most * 1.15 // room for a figure
	return p.Save(10*vg.Inch, vg.Length(len(names))*0.38*vg.Inch+1.1*vg.Inch, file)
}

func draw(p *plot.Plot, at float64, s *series, ours bool) error {
	body, err := plotter.NewBarChart(plotter.Values{s.Median}, vg.Points(16))
	if err != nil {
		return err
	}
	body.Horizontal, body.XMin, body.LineStyle.Width = true, at, 0
	body.Color = color.RGBA{R: 168, G: 176, B: 190, A: 255}
	if ours {
		body.Color = color.RGBA{R: 38, G: 110, B: 190, A: 255}
	}
	span, err := plotter.NewXErrorBars(spans{s, at})
	if err != nil {
		return err
	}
	figures, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: s.Most, Y: at}}, Labels: []string{figure(s.Median)}})
	if err != nil {
		return err
	}
	figures.Offset = vg.Point{X: vg.Points(6), Y: -vg.Points(4)}
	p.Add(body, span, figures)
	return nil
}

// spans is a series as plotter wants it.
type spans struct {
	s  *series
	at float64
}

// Len is one.
func (s spans) Len() int { return 1 }

// XY is the end of the bar.
func (s spans) XY(int) (x, y float64) { return s.s.Median, s.at }

// XError is what the rounds were below and above it.
func (s spans) XError(int) (low, high float64) { return s.s.Least - s.s.Median, s.s.Most - s.s.Median }

// ticks writes thousands as the tables do.
type ticks struct{}

// Ticks are the default's.
func (ticks) Ticks(least, most float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(least, most)
	for i := range all {
		if all[i].Label != "" {
			all[i].Label = strings.TrimSuffix(figure(all[i].Value), ".00")
		}
	}
	return all
}
