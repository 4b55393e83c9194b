package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/answerfeed/answerfeed/internal/importer"
	"github.com/answerfeed/answerfeed/internal/producer"
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
	var site string
	cmd := &cobra.Command{
		Use:   "stackexchange FILE...",
		Short: "Publish the posts of a Stack Exchange data dump",
		Long: `Reads Posts.xml files of the public Stack Exchange data dump, turns questions and answers into events and publishes
them with confirmation; other posts are passed over. The subject of a question is its first tag. Event ids follow from
the posts: importing a file twice changes nothing, a later dump of the same site updates what was edited, and an older
one takes nothing back.

The ids of a site's posts begin with its name, as in math.stackexchange.com/q1. It is that of the folder or file where
it looks like one, else --site; on a terminal it is asked for. Without a name they stay q1, as on every other site.`,
		Example: `  worker import stackexchange Posts.xml
  worker import stackexchange --site math Posts.xml
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
			options.Site, options.CopiedAt = site, time.Now()
			// With nothing to import, what can be wrong is the options.
			if _, err := importer.StackExchange(strings.NewReader("<posts/>"), options, nil); err != nil {
				return usageError{err}
			}
			client, err := c.openQueues(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close() //nolint:errcheck // what was published is confirmed
			i := importing{cli: c, options: options, named: cmd.Flags().Changed("site")}
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
	f.StringVar(&site, "site", "", "`NAME` before the ids of posts and authors; \"\" for none (default: from the path)")
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
	named   bool // the options have the site
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
	options := i.options
	if !i.named {
		if options.Site, err = i.site(cmd.Context(), name); err != nil {
			return err
		}
	}
	bar := i.cli.progress("importing "+name, size)
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
	if counts.Replaced > 0 {
		fmt.Fprintf(i.cli.Err, "%s: replaced %d characters that XML forbids, the first on line %d\n", name, counts.Replaced, counts.ReplacedLine)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return flushed
}

// site is the name before a file's ids: what its path says, or a person does.
func (i *importing) site(ctx context.Context, file string) (string, error) {
	site := importer.SiteOf(file)
	if site == "" && asksPeople(i.cli.Options) {
		fmt.Fprintf(i.cli.Err, "site of %s, such as math.stackexchange.com (none: ids stay q1, as on every other site): ", file)
		answer := make(chan string, 1)
		go func() { // ends with the line, or with the process: nothing else ends the reading of a terminal
			line, _ := bufio.NewReader(i.cli.In).ReadString('\n')
			answer <- line
		}()
		select {
		case line := <-answer:
			site = strings.TrimSpace(line)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if err := importer.CheckSite(site); err != nil {
		return "", usageError{fmt.Errorf("site %q: %w", site, err)}
	}
	if site == "" {
		fmt.Fprintf(i.cli.Err, "%s: without a site's name its ids are q1, a1 and so on, as every other site's would be; --site NAME keeps them apart\n", file)
	} else {
		fmt.Fprintf(i.cli.Err, "%s: ids begin with %s/\n", file, site)
	}
	return site, nil
}
