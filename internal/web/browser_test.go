package web_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/event"
)

// chromium returns the browser's path. A machine without one cannot vouch for
// the page, so that is a failure and no reason to pass over the test.
func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("WORKER_TEST_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no browser found: install Chromium (Debian: apt-get install chromium), or set WORKER_TEST_CHROMIUM to a Chromium or Chrome binary")
	return ""
}

// tab is a browser's tab without JavaScript.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string
}

// newTab starts a browser with one tab of the size, and fails the test at its
// end if the browser complained, of a blocked file for example.
func newTab(t *testing.T, width, height int64, base string) *tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	viewport := []chromedp.EmulateViewportOption{}
	if width < 600 {
		viewport = append(viewport, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	scriptless := func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	}
	// The browser lives as long as the context of its first call, which
	// therefore has no deadline; the steps of the test have one.
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, height, viewport...), scriptless))

	complaints := &logBuffer{}
	require.NoError(t, chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*log.EventEntryAdded); ok {
			_, _ = fmt.Fprintln(complaints, e.Entry.URL, e.Entry.Text)
		}
	}))
	t.Cleanup(func() { require.Empty(t, complaints.String()) })

	ctx, stop = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	return &tab{t: t, ctx: ctx, base: base}
}

// do runs steps that lead to another page, and checks that it is a good one
// and fits the width.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	resp, err := chromedp.RunResponse(b.ctx, steps...)
	require.NoError(b.t, err)
	require.EqualValues(b.t, 200, resp.Status, resp.URL)
	widths, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]int](`[document.documentElement.scrollWidth, document.documentElement.clientWidth]`))
	require.NoError(b.t, err)
	require.LessOrEqual(b.t, widths[0], widths[1], "%s flows over at the right", resp.URL)
}

func (b *tab) visit(path string) { b.t.Helper(); b.do(chromedp.Navigate(b.base + path)) }

// click follows the first link or presses the first button with the text.
func (b *tab) click(text string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.Search(fmt.Sprintf(`//*[self::a or self::button or self::bdi][normalize-space(.)=%q]`, text))))
}

// sees checks the heading and the number of questions or answers.
func (b *tab) sees(heading string, articles int) {
	b.t.Helper()
	h1, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("h1")))
	require.NoError(b.t, err)
	require.Equal(b.t, heading, h1)
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`document.querySelectorAll("article").length`))
	require.NoError(b.t, err)
	require.Equal(b.t, articles, n)
}

func TestBrowser(t *testing.T) {
	s := newSite(t)
	for n := range 25 {
		s.ask(event.QuestionAdded{QuestionID: fmt.Sprintf("h%02d", n), Title: fmt.Sprintf("History %d", n), Subject: "history", Excerpt: strings.Repeat("In the year dot. ", 20)}, time.Duration(n+1)*time.Hour)
	}
	endless := strings.Repeat("W", 300)
	s.ask(event.QuestionAdded{QuestionID: "a", Title: endless, Excerpt: endless, Subject: endless[:64], Grade: "secondary", AuthorID: endless[:128]}, time.Minute)
	s.answer(event.AnswerAdded{AnswerID: "a", QuestionID: "a", AuthorID: endless[:128], Excerpt: endless}, 0)
	s.answer(event.AnswerAdded{AnswerID: "b", QuestionID: "h00", AuthorID: "ada", Excerpt: "Long ago."}, 0)

	s.crowd("many", 120)

	for _, size := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 800}, {"phone", 390, 844}, {"small phone", 320, 568}} {
		t.Run(size.name, func(t *testing.T) {
			b := newTab(t, size.width, size.height, "http://"+s.server.Addr())
			b.visit("/")
			b.sees("Newest questions", 20)
			b.click("Older questions →")
			b.sees("Newest questions", 7)
			b.click("← Newest")
			b.sees("Newest questions", 20)

			b.click("history")
			b.click("Unanswered")
			b.sees("Unanswered questions in history", 20)
			b.do(chromedp.SendKeys(chromedp.CSS("#grade"), "primary"), chromedp.Click(chromedp.Search(`//button[.="Apply"]`)))
			b.sees("Unanswered questions in history, grade primary", 20)
			b.click("Older questions →")
			b.sees("Unanswered questions in history, grade primary", 4)
			b.click("Answered")
			b.sees("Answered questions in history, grade primary", 1)

			b.click("History 0")
			b.sees("History 0", 2)
			b.click("Leaderboard")
			b.sees("Leaderboard", 0)
			b.visit("/questions/a")
			b.sees(endless, 2)
			b.visit("/questions/many")
			b.sees("Who has not answered?", 101)
			b.click("Later answers →")
			b.sees("Who has not answered?", 21)
			b.click("Newest first")
			b.click("Earlier answers →")
			b.sees("Who has not answered?", 21)
			b.click("← First page")
			b.click("Oldest first")
			b.sees("Who has not answered?", 101)
			b.visit("/?subject=botany")
			b.click("Clear all")
			b.sees("Newest questions", 20)
		})
	}
}
