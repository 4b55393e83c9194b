package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/internal/producer"
)

func (c *cli) publish() *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:   "publish [FILE...|-]",
		Short: "Publish events from NDJSON, with confirmation",
		Long: `Publish reads one JSON object a line, from the files or from standard input:

  {"topic":"answer-added","data":{"answer_id":"a1","question_id":"q1","occurred_at":"2026-01-02T03:04:05Z"}}

Optional keys: "metadata" (an object of strings), "data_base64" in place of "data" for a payload of any bytes,
"handler" to reach that handler's queue alone. A bad line is reported as FILE:LINE: why; the good ones go out, and
the exit status is 1. When it is 0, every line is confirmed by the transport.`,
		Example: `  worker publish events.ndjson
  generate-events | worker publish -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			client, err := c.openQueues(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close() //nolint:errcheck // what was published is confirmed
			if len(files) == 0 {
				files = []string{"-"}
			}
			p := publishing{cli: c, raw: raw}
			p.Producer = producer.New(client.Publisher(), func(item producer.Item, err error) { p.refuse(item.Where, err) })
			for _, file := range files {
				if err := p.file(cmd.Context(), file); err != nil {
					_ = p.summary() // err is the one to tell
					return err
				}
			}
			return p.summary()
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "do not validate: data may be any JSON value, a string being sent as its bytes")
	return cmd
}

// publishing is one run of the verb.
type publishing struct {
	*producer.Producer
	cli     *cli
	raw     bool
	refused int
}

func (p *publishing) refuse(where string, err error) {
	p.refused++
	fmt.Fprintf(p.cli.Err, "%s: %v\n", where, err)
}

// file publishes one file. Its error means that going on makes no sense.
func (p *publishing) file(ctx context.Context, name string) error {
	in, size := p.cli.In, int64(-1)
	if name == "-" {
		name = "<stdin>"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		in = f
	}
	bar := p.cli.progress("publishing "+name, size)
	defer bar.Close() //nolint:errcheck // it only draws
	err := producer.Lines(contextReader{ctx, in}, func(text []byte, number int, read int64, err error) error {
		_ = bar.Set64(read)
		where := fmt.Sprintf("%s:%d", name, number)
		if err != nil {
			p.refuse(where, err)
			return nil
		}
		item, err := producer.ParseLine(text, p.raw)
		if err != nil {
			p.refuse(where, err)
			return nil
		}
		item.Where = where
		return p.Add(ctx, item)
	})
	if flushed := p.Flush(ctx); flushed != nil {
		return flushed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (p *publishing) summary() error {
	fmt.Fprintf(p.cli.Err, "published %d, refused %d\n", p.Published(), p.refused)
	if p.refused > 0 {
		return errReported
	}
	return nil
}

// contextReader ends reading with the context, at the next read.
type contextReader struct {
	ctx context.Context
	in  io.Reader
}

func (r contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(b)
}
