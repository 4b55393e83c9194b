package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/app/importer"
	"github.com/answerfeed/answerfeed/app/producer"
)

func (c *cli) importer() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Turn other sites' data into events",
	}
	cmd.AddCommand(c.importStackExchange())
	return cmd
}

func (c *cli) importStackExchange() *cobra.Command {
	var options importer.Options
	var tags []string
	cmd := &cobra.Command{
		Use:   "stackexchange FILE...",
		Short: "Publish the posts of a Stack Exchange data dump",
		Long: `Reads Posts.xml files of the public Stack Exchange data dump, turns questions and answers into events and publishes
them with confirmation; other posts are passed over. The subject of a question is its first tag. Event ids follow from
the posts' ids: importing a file twice changes nothing.`,
		Example: `  worker import stackexchange Posts.xml
  worker import stackexchange --grade-tag undergraduate-education=college --grade-tag algebra=school Posts.xml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			options.GradeTags = map[string]string{}
			for _, t := range tags {
				tag, grade, ok := strings.Cut(t, "=")
				if !ok || tag == "" || grade == "" {
					return usageError{fmt.Errorf("--grade-tag %q: it must be TAG=GRADE", t)}
				}
				options.GradeTags[tag] = grade
			}
			// With nothing to import, what can be wrong is the options.
			if _, err := importer.StackExchange(strings.NewReader("<posts/>"), options, nil); err != nil {
				return usageError{err}
			}
			client, err := c.openQueues(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close() //nolint:errcheck // what was published is confirmed
			i := importing{cli: c, options: options}
			i.Producer = producer.New(client.Publisher(), func(item producer.Item, err error) {
				i.bad++
				fmt.Fprintf(c.Err, "%s: %v\n", item.Where, err)
			})
			for _, file := range files {
				if err := i.file(cmd, file); err != nil {
					return err
				}
			}
			if i.bad > 0 {
				return errReported
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&options.Subject, "subject", "", "`SUBJECT` of every question, in place of its first tag")
	f.StringVar(&options.Grade, "grade", "unspecified", "`GRADE` of questions that no --grade-tag fits")
	f.StringArrayVar(&tags, "grade-tag", nil, "`TAG=GRADE` of questions that have the tag (repeatable)")
	return cmd
}

// importing is one run of the verb.
type importing struct {
	*producer.Producer
	cli     *cli
	options importer.Options
	bad     int
}

func (i *importing) file(cmd *cobra.Command, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(-1)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	bar := i.cli.progress("importing "+name, size)
	options := i.options
	options.Report = func(offset int64, err error) {
		i.bad++
		fmt.Fprintf(i.cli.Err, "%s: byte %d: %v\n", name, offset, err)
	}
	before := i.Published()
	counts, err := importer.StackExchange(contextReader{cmd.Context(), &progressReader{f, bar}}, options, func(e importer.Event) error {
		return i.Add(cmd.Context(), producer.Item{
			Topic: e.Topic, Message: producer.NewMessage(e.ID, e.Payload, nil), Where: name,
		})
	})
	flushed := i.Flush(cmd.Context())
	_ = bar.Finish()
	fmt.Fprintf(i.cli.Err, "%s: %d questions, %d answers, %d other posts passed over; published %d\n",
		name, counts.Questions, counts.Answers, counts.Skipped, i.Published()-before)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return flushed
}
