package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lmittmann/tint"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/config"
	"github.com/answerfeed/answerfeed/internal/logfold"
	"github.com/answerfeed/answerfeed/internal/printable"
)

// isTerminal reports that w is one, so that colour and progress are welcome.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// logger writes to standard error as the configuration says.
func (c *cli) logger(cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // the configuration knows the levels already
	}
	if cfg.Format == "json" {
		return c.folded(slog.NewJSONHandler(c.Err, &slog.HandlerOptions{Level: level}))
	}
	return c.folded(tint.NewTextHandler(c.Err, &tint.Options{
		Level: level, TimeFormat: time.TimeOnly, NoColor: !isTerminal(c.Err) || os.Getenv("NO_COLOR") != "",
	}))
}

// folded writes one line a second for each cause. What it holds back is
// written when the command line ends.
func (c *cli) folded(to slog.Handler) *slog.Logger {
	fold := logfold.New(to)
	c.ending = append(c.ending, fold.Close)
	return slog.New(app.LogHandler(fold))
}

// progress shows how many bytes of total were worked through; on anything but
// a terminal it is silent. total -1 = not known.
func (c *cli) progress(what string, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(c.Err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetVisibility(isTerminal(c.Err)),
	)
}

// outputFlag adds -o to a verb that lists or measures.
func outputFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "table", "`FORMAT`: table or json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if *format != "table" && *format != "json" {
			return usageError{fmt.Errorf("-o %s: there is table and json", *format)}
		}
		return nil
	}
}

// json writes what every -o json writes; what others wrote does nothing to the terminal.
func (c *cli) json(v any) error {
	var document bytes.Buffer
	e := json.NewEncoder(&document)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := c.Out.Write(printable.JSON(document.Bytes()))
	return err
}

// table writes rows in columns.
func (c *cli) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// progressReader moves a progress bar by what is read.
type progressReader struct {
	in  io.Reader
	bar *progressbar.ProgressBar
}

func (r *progressReader) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	_ = r.bar.Add(n)
	return n, err
}
