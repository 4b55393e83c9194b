package faults

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A producer does not notice that nobody consumes: everything waits.
func TestConsumersStopped_EverythingWaits(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		l := newLedger(t, 7, 20_000)
		half := len(l.events) / 2
		l.publish(t, p.open(t), 0, half)
		var lines bytes.Buffer
		for _, e := range l.events[half:] {
			line, err := json.Marshal(map[string]string{"topic": e.topic, "data_base64": base64.StdEncoding.EncodeToString(e.payload)})
			require.NoError(t, err)
			fmt.Fprintf(&lines, "%s\n", line)
		}
		publish := p.command("publish", "-")
		publish.Stdin = &lines
		out, err := publish.CombinedOutput()
		require.NoError(t, err, string(out))

		w := p.start(t)
		w.drained(t)
		l.check(t, w)
	})
}

// What is imported from a Stack Exchange file is what the feed shows.
func TestImport(t *testing.T) {
	onEach(t, func(t *testing.T, p place) {
		text, l := posts(t, 2000)
		file := filepath.Join(p.dir, "Posts.xml")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		w := p.start(t)
		out, err := p.command("import", "stackexchange", file).CombinedOutput()
		require.NoError(t, err, string(out))
		w.drained(t)
		l.check(t, w)
	})
}

// posts invents a file with n questions, and says what must come of it.
func posts(t *testing.T, n int) ([]byte, *ledger) {
	l := newLedger(t, 0, 0)
	var b bytes.Buffer
	b.WriteString("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<posts>\n")
	at := func(second int) string {
		return epoch.Add(time.Duration(second) * time.Second).Format("2006-01-02T15:04:05.000")
	}
	id := 0
	for q := range n {
		id++
		question := id
		fmt.Fprintf(&b, `<row Id="%d" PostTypeId="1" CreationDate="%s" Title="Question %d" Tags="&lt;tag-%d&gt;&lt;more&gt;" Body="&lt;p&gt;Why?&lt;/p&gt;" OwnerUserId="1"/>`+"\n", question, at(q), q, q%7)
		l.count[fmt.Sprintf("q%d", question)] = 0
		for a := range q % 5 {
			id++
			// Told last first: the first answer is the one that was given first.
			author := fmt.Sprint(id % 50)
			fmt.Fprintf(&b, `<row Id="%d" PostTypeId="2" ParentId="%d" CreationDate="%s" Body="Because." OwnerUserId="%s"/>`+"\n", id, question, at(q+100-a), author)
			l.count[fmt.Sprintf("q%d", question)]++
			l.first[fmt.Sprintf("q%d", question)] = fmt.Sprintf("a%d", id)
			l.scores[author]++
		}
	}
	b.WriteString("</posts>\n")
	return b.Bytes(), l
}
