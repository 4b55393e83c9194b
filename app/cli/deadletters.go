package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

func (c *cli) deadletters() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletters",
		Short: "Work at the desk of dead letters: look, send back, put aside",
		Long: `A dead letter is a message that its handler could not handle, and that no further try would help: it is malformed, the
handler refused it or crashed at it, or every try failed. It is kept whole until somebody decides:

  worker deadletters groups                      what is wrong, largest problem first
  worker deadletters list --fingerprint HEX      the letters of one problem
  worker deadletters show ID                     one letter, with its payload
  worker deadletters requeue --fingerprint HEX   mended: send them back to their handler
  worker deadletters requeue ID --payload FILE   send one back with another payload
  worker deadletters discard --reason malformed  nobody needs them; restorable for 30 days

Letters are dead, requeued or discarded. A letter goes back to the queue of its own handler, to no other. One that fails
again is a new letter. Who did what is kept: worker deadletters audit.`,
	}
	cmd.AddCommand(c.deadlettersList(), c.deadlettersGroups(), c.deadlettersShow(), c.deadlettersRequeue(),
		c.deadlettersDiscard(), c.deadlettersRestore(), c.deadlettersExport(), c.deadlettersAudit())
	return cmd
}

// atDesk opens the desk for one verb, without the queues. What the verb was
// told wrongly is a usage error.
func (c *cli) atDesk(cmd *cobra.Command, do func(*deadletter.Desk) error) error {
	return c.atDeskBy(cmd, app.OpenDesk, do)
}

// atDeskBy is atDesk with what open opens.
func (c *cli) atDeskBy(cmd *cobra.Command, open func(context.Context, app.Options) (*app.Client, error), do func(*deadletter.Desk) error) error {
	client, err := c.openBy(cmd.Context(), nil, open)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // what was done is committed
	desk := client.Desk(operator())
	if err := c.checkNames(cmd, desk); err != nil {
		return err
	}
	err = do(desk)
	if errors.Is(err, deadletter.ErrFilter) {
		return usageError{err}
	}
	return err
}

// operator names who runs the program, for the audit: USER@HOST.
func operator() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if as := os.Getenv("SUDO_USER"); as != "" {
		name = as + " (as " + name + ")"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return name + "@" + host
}

// filterFlags are the flags that select letters.
type filterFlags struct {
	deadletter.Filter
	state, since, until string
}

func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Handler, "handler", "", "letters of this handler: `NAME`")
	flags.StringVar(&f.Topic, "topic", "", "of this topic: `NAME`")
	flags.StringVar(&f.Reason, "reason", "", "with this reason: `WORD`")
	flags.StringVar(&f.Fingerprint, "fingerprint", "", "of this problem, as groups tells it: `HEX`")
	flags.StringVar(&f.since, "since", "", "that failed last at this `TIME` or later: 2026-01-02, 2026-01-02T15:04:05Z, or 90m, 24h, 7d ago")
	flags.StringVar(&f.until, "until", "", "that failed last before this `TIME`")
	flags.StringVar(&f.Text, "text", "", "with this `TEXT` in error, id, metadata or payload, in any case; slow, since no index helps")
}

func (f *filterFlags) addState(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.state, "state", string(deadletter.Dead), "`STATE`: dead, requeued or discarded")
}

// filter reads the flags.
func (f *filterFlags) filter(now time.Time) (deadletter.Filter, error) {
	var err error
	for _, t := range []struct {
		flag, value string
		into        *time.Time
	}{{"since", f.since, &f.Since}, {"until", f.until, &f.Until}} {
		if *t.into, err = parseTime(t.value, now); err != nil {
			return f.Filter, usageError{fmt.Errorf("--%s %q: %w", t.flag, t.value, err)}
		}
	}
	f.State = deadletter.State(f.state)
	if err := f.Validate(); err != nil {
		return f.Filter, usageError{err}
	}
	return f.Filter, nil
}

// parseTime reads a moment, a day in UTC, or how long ago. "" = no time.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if n := len(s) - 1; n > 0 && s[n] == 'd' {
		if days, err := strconv.ParseUint(s[:n], 10, 16); err == nil {
			return now.AddDate(0, 0, -int(days)), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, errors.New("it must be a day (2026-01-02), a moment (2026-01-02T15:04:05Z), or how long ago (90m, 24h, 7d)")
}
