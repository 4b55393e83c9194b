package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// acting is one run of requeue, discard or restore.
type acting struct {
	*cli
	filterFlags
	verb, past string // requeue, requeued
	all        bool
	yes, dry   bool
	rate       float64
	payload    string // --payload
	do         func(context.Context, *deadletter.Desk, deadletter.Selection, deadletter.Options) (deadletter.Result, error)
}

const selecting = `
Letters are named by their ids, or selected by filters, or by --all. For a selection by filter it tells how many letters
that are and asks first; where nobody can be asked, it takes --yes. --dry-run only tells.`

func (c *cli) deadlettersRequeue() *cobra.Command {
	a := &acting{cli: c, verb: "requeue", past: "requeued"}
	a.do = func(ctx context.Context, d *deadletter.Desk, s deadletter.Selection, o deadletter.Options) (deadletter.Result, error) {
		return d.Requeue(ctx, s, o)
	}
	cmd := a.command(`Requeue sends dead letters back, each to the queue of its own handler, as if they came for the first time: attempts and
delays begin anew. What fails again is a new letter. Cut short, by whatever, it loses nothing; the same command goes on
where it was. A few messages may then be sent twice, which handlers that are written as they should be do not mind.

--payload FILE sends one letter with another payload, which must be a valid event of its topic; the letter keeps its own.
`+selecting, `  worker deadletters requeue 9d570769ea148e8bd870e3a2f8ea7e6a
  worker deadletters requeue 9d570769ea148e8bd870e3a2f8ea7e6a --payload repaired.json
  worker deadletters requeue --handler feed --reason exhausted --rate 100`)
	cmd.Short = "Send letters back to their handler"
	cmd.Flags().StringVar(&a.payload, "payload", "", "send this `FILE` in place of the payload of one letter; - is standard input")
	return cmd
}

func (c *cli) deadlettersDiscard() *cobra.Command {
	a := &acting{cli: c, verb: "discard", past: "discarded"}
	a.do = func(ctx context.Context, d *deadletter.Desk, s deadletter.Selection, o deadletter.Options) (deadletter.Result, error) {
		return d.Discard(ctx, s, o)
	}
	cmd := a.command(`Discard puts dead letters aside that nobody needs. For 30 days restore brings them back; then they are forgotten.
`+selecting, `  worker deadletters discard 9d570769ea148e8bd870e3a2f8ea7e6a
  worker deadletters discard --reason malformed --until 7d`)
	cmd.Short = "Put letters aside, restorable for 30 days"
	return cmd
}

func (c *cli) deadlettersRestore() *cobra.Command {
	a := &acting{cli: c, verb: "restore", past: "restored"}
	a.do = func(ctx context.Context, d *deadletter.Desk, s deadletter.Selection, o deadletter.Options) (deadletter.Result, error) {
		return d.Restore(ctx, s, o)
	}
	cmd := a.command(`Restore makes discarded letters dead again, as they were.
`+selecting, `  worker deadletters restore 9d570769ea148e8bd870e3a2f8ea7e6a
  worker deadletters restore --handler feed`)
	cmd.Short = "Bring discarded letters back"
	return cmd
}

func (a *acting) command(long, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     a.verb + " [ID...]",
		Long:    long,
		Example: example,
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, ids []string) error { return a.run(cmd, ids) },
	}
	a.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&a.all, "all", false, "all letters, without a filter")
	flags.BoolVar(&a.dry, "dry-run", false, "only tell how many letters it would be")
	flags.BoolVar(&a.yes, "yes", false, "do not ask")
	flags.Float64Var(&a.rate, "rate", 0, "at most so many `LETTERS` a second (default: no bound)")
	return cmd
}

func (a *acting) run(cmd *cobra.Command, ids []string) error {
	s, err := a.selection(cmd, ids)
	if err != nil {
		return err
	}
	payload, err := a.readPayload(ids)
	if err != nil {
		return err
	}
	bulk := len(ids) == 0
	if bulk && !a.yes && !a.dry && !asksPeople(a.Options) {
		return usageError{fmt.Errorf("%s of letters selected by a filter, and nobody can be asked: give --yes, or look with --dry-run", a.verb)}
	}
	open := app.OpenDesk
	if a.verb == "requeue" {
		open = app.Open
	}
	return a.atDeskBy(cmd, open, func(desk *deadletter.Desk) error {
		ctx := cmd.Context()
		do := func(o deadletter.Options) (deadletter.Result, error) {
			if payload != nil {
				return desk.Repair(ctx, ids[0], payload, o)
			}
			return a.do(ctx, desk, s, o)
		}
		if bulk && !a.yes && !a.dry {
			plan, err := do(deadletter.Options{DryRun: true})
			if err != nil {
				return err
			}
			a.warn(plan)
			agreed := plan.Done > 0 && a.agreed(plan)
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("interrupted; nothing was done: %w", err)
			}
			if !agreed {
				fmt.Fprintf(a.Err, "%s 0 letters\n", a.past)
				return nil
			}
		}
		bar := a.counter(a.verb)
		result, err := do(deadletter.Options{
			DryRun: a.dry, Rate: a.rate,
			Refused:  func(id string, err error) { fmt.Fprintf(a.Err, "%s: %v\n", plain(id), err) },
			Progress: func(r deadletter.Result) { _ = bar.Set(r.Done) },
		})
		_ = bar.Finish()
		return a.summary(result, err)
	})
}

// selection is what the arguments and flags mean, which must be said clearly.
func (a *acting) selection(cmd *cobra.Command, ids []string) (s deadletter.Selection, err error) {
	filtered := false
	for _, name := range []string{"handler", "topic", "reason", "fingerprint", "since", "until", "text"} {
		filtered = filtered || cmd.Flags().Changed(name)
	}
	ways := 0
	for _, used := range []bool{len(ids) > 0, filtered, a.all} {
		if used {
			ways++
		}
	}
	if ways != 1 {
		return s, usageError{errors.New("name letters by their ids, or select them by filters, or give --all: one of the three; see " + cmd.CommandPath() + " --help")}
	}
	if a.rate < 0 || a.rate != a.rate {
		return s, usageError{fmt.Errorf("--rate %g: it must not be below 0", a.rate)}
	}
	s.IDs = ids
	s.Filter, err = a.filter(time.Now())
	return s, err
}

// readPayload returns nil without --payload.
func (a *acting) readPayload(ids []string) ([]byte, error) {
	if a.payload == "" {
		return nil, nil
	}
	if len(ids) != 1 {
		return nil, usageError{errors.New("--payload goes with the id of one letter")}
	}
	in := a.In
	if a.payload != "-" {
		f, err := os.Open(a.payload)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	payload, err := io.ReadAll(io.LimitReader(in, event.MaxPayload+1)) // one byte more is refused for its size
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", a.payload, err)
	}
	return append([]byte{}, payload...), nil
}

func (a *acting) summary(r deadletter.Result, err error) error {
	verb := a.past
	if a.dry {
		verb = "would " + a.verb
	}
	fmt.Fprintf(a.Err, "%s %d letters", verb, r.Done)
	if r.Passed > 0 {
		fmt.Fprintf(a.Err, ", %d were so already", r.Passed)
	}
	if r.Refused > 0 {
		fmt.Fprintf(a.Err, ", %d could not be", r.Refused)
	}
	fmt.Fprintln(a.Err)
	a.warn(r)
	if err != nil {
		return err
	}
	if r.Refused > 0 {
		return errReported
	}
	return nil
}

// warn tells of letters that are older than the inbox's memory. It matters
// only to what is handled again.
func (a *acting) warn(r deadletter.Result) {
	if r.Old > 0 && a.verb == "requeue" {
		fmt.Fprintf(a.Err, "warning: %d of them first failed more than 30 days ago, longer than the inbox remembers: "+
			"if such a message had taken effect all the same, a handler that relies on the inbox repeats it\n", r.Old)
	}
}

func (a *acting) agreed(plan deadletter.Result) bool {
	question := fmt.Sprintf("%s %d letters", a.verb, plan.Done)
	if a.rate > 0 {
		question += fmt.Sprintf(", in about %s", time.Duration(float64(plan.Done)/a.rate*float64(time.Second)).Round(time.Second))
	}
	return confirm(a.In, a.Err, question+"? [y/N] ")
}

// confirm takes nothing but y or yes for it.
func confirm(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprint(out, question) //nolint:errcheck // to a terminal
	line, _ := bufio.NewReader(in).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// asksPeople reports that a person reads what is asked, and can answer.
func asksPeople(s Options) bool {
	from, ok := s.In.(*input)
	if !ok {
		return false
	}
	in, ok := from.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) && isTerminal(s.Err)
}

// counter shows how many letters are done; on anything but a terminal it is
// silent.
func (c *cli) counter(what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(c.Err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetVisibility(isTerminal(c.Err)),
	)
}
