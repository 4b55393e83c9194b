package demo

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// course is a subject and what people ask in it.
type course struct {
	subject string
	threads []thread
}

// thread is one kind of question, with answers that fit it. The texts have slots such as {organ}, which one filling fills in the
// question and in its answers alike.
type thread struct {
	grades  []string
	titles  []string
	details []string // what stands below a title
	answers []string
	fill    func(*rand.Rand) filling
}

// filling maps slots to what stands in them.
type filling map[string]string

// in fills the slots of a text, and begins it with a capital.
func (f filling) in(text string) string {
	for slot, value := range f {
		text = strings.ReplaceAll(text, "{"+slot+"}", value)
	}
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// facts returns a filler that picks one of rows, whose parts, between bars, go into slots in their order.
func facts(slots string, rows ...string) func(*rand.Rand) filling {
	return func(r *rand.Rand) filling {
		f := filling{}
		values := strings.Split(one(r, rows), "|")
		for i, slot := range strings.Fields(slots) {
			f[slot] = values[i]
		}
		return f
	}
}

// numbers is a filling of whole numbers.
func numbers(n map[string]int) filling {
	f := filling{}
	for slot, value := range n {
		f[slot] = strconv.Itoa(value)
	}
	return f
}

// between returns a whole number from least to most.
func between(r *rand.Rand, least, most int) int { return least + r.IntN(most-least+1) }

// join puts a space between the parts that are not empty.
func join(parts ...string) string {
	var full []string
	for _, part := range parts {
		if part != "" {
			full = append(full, part)
		}
	}
	return strings.Join(full, " ")
}

// The grades, from the youngest on.

func primary() []string { return []string{"primary school", "middle school"} }
func middle() []string  { return []string{"middle school", "high school"} }
func high() []string    { return []string{"high school", "college"} }

func pleas() []string {
	return []string{
		"", "", "", "It is for a test on Friday.", "I need it for my homework.", "A short explanation would be enough.", "Thanks in advance!",
		"I looked in my book but did not understand it.", "We only touched on it in class.", "My sister asked me and I had no idea.",
		"An example would help me a lot.", "I keep mixing this up.", "Please explain it as simply as you can.",
	}
}

func prefaces() []string {
	return []string{
		"", "", "", "", "", "", "", "", "", "", "", "", "Quick question:", "Stuck on homework:", "For an exam:", "Just curious:", "Please help:",
		"I keep forgetting this:",
	}
}

func openings() []string {
	return []string{
		"", "", "", "", "", "Short answer:", "Good question!", "As I remember it:", "We did this last week.", "Let me try.",
		"This helped me:", "Here is how I see it.", "In my own words:",
	}
}

// echoes are what comes when everything has been said.
func echoes() []string {
	return []string{
		"Same here, and I can confirm the first answer.", "Thanks, I had the very same question!", "I agree with the answers above.",
		"This is how our teacher explained it too.", "Now I get it as well.", "I had it the other way round until I read this.",
		"Nothing to add, just a thank-you.", "I checked it in two books: correct.", "My class voted on it, and the majority says the same.",
		"Great thread, I have sent it to my study group.", "Finally an explanation that I can follow.", "Can confirm, this came up in our last test.",
	}
}

func endings() []string {
	return []string{
		"", "", "", "", "", "Hope this helps!", "Good luck with the test.", "Ask again if a step is unclear.", "You can look it up to be sure.",
		"That is how I remember it.", "It took me a while as well.", "Someone correct me if I am wrong.",
	}
}

func reasons() []string {
	return []string{
		"taken back by its author", "taken back by its author", "off topic", "advertising", "copied without naming the source", "impolite",
		"posted twice", "not an answer", "plainly wrong",
	}
}

func firstNames() []string {
	return []string{
		"ada", "amir", "anna", "bao", "bela", "carla", "chen", "dana", "diego", "elif", "emil", "fatima", "felix", "grace", "hana", "hugo",
		"ines", "ivan", "jana", "jonas", "kofi", "lea", "liam", "lucia", "maria", "milo", "mina", "nadia", "noah", "nora", "omar", "paula",
		"ravi", "rosa", "sami", "sofia", "tariq", "tess", "vera", "yuki", "zoe",
	}
}
