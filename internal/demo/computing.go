package demo

import (
	"math/rand/v2"
	"strconv"
)

func computing() course {
	return course{subject: "computing", threads: []thread{
		{
			grades:  middle(),
			titles:  []string{"How do I write {n} in binary?", "What is {n} as a binary number?", "What is the binary number {bits} in decimal?", "How many bits do I need for {n}?", "What is {n} in hexadecimal?"},
			details: []string{"I can do it for small numbers only.", "My result had one digit too many.", "No converter allowed in the test."},
			answers: []string{
				"{n} is {bits}. Divide by 2 again and again and write down the remainders from the last to the first.",
				"{bits} in binary and {hex} in hexadecimal: four bits make one hex digit.",
				"You need {width} bits: {bits}.",
				"Look for the largest power of two that fits, take it away, and go on with the rest. For {n} you get {bits}.",
			},
			fill: func(r *rand.Rand) filling {
				n := between(r, 17, 255)
				bits := strconv.FormatInt(int64(n), 2)
				return filling{"n": strconv.Itoa(n), "bits": bits, "hex": strconv.FormatInt(int64(n), 16), "width": strconv.Itoa(len(bits))}
			},
		},
		{
			grades:  high(),
			titles:  []string{"What does {error} mean in Python?", "Why do I get {error} here?", "My program stops with {error}. What now?", "How do I get rid of {error}?"},
			details: []string{"It worked yesterday, and I only changed one line.", "The message names a line where I see nothing wrong.", "It is a program of twenty lines for school."},
			answers: []string{
				"You get {error} when {cause}.",
				"Read the last line of the message first. {error} means that {cause}. {remedy}.",
				"{remedy}. Most of the time that is it.",
				"Print the values just before that line. Probably {cause}.",
			},
			fill: facts("error cause remedy",
				"IndexError|you ask a list for a position that it does not have|Check the length, and remember that counting begins at 0",
				"KeyError|you ask a dictionary for a key that is not in it|Use get, or test with in before",
				"IndentationError|the spaces at the start of a line do not match the block|Use four spaces everywhere and no tabs",
				"NameError|you use a name that was never given a value|Look for a typing mistake in the name",
				"TypeError|you combine values that do not go together, such as a text and a number|Convert one of them with int or str",
				"ZeroDivisionError|you divide by a value that happens to be 0|Test for 0 before you divide",
				"RecursionError|a function calls itself without ever stopping|Add the case in which it returns at once",
				"AttributeError|you ask an object for something that its type does not have, often because it is None|Check what the function really returned"),
		},
		{
			grades:  high(),
			titles:  []string{"What is {term}, in simple words?", "When would I use {term}?", "Can someone explain {term} with an example?", "What is {term} good for?", "Is {term} hard to learn?"},
			details: []string{"The article that I read used five other words I do not know.", "It was the last slide before the holidays.", "I can use it, but I cannot explain it."},
			answers: []string{
				"In simple words, {term} is {meaning}.",
				"Think of {image}. That is all that {term} is about.",
				"It is {meaning}. A picture that helps: {image}.",
				"Use it and it becomes clear. I think of it as {image}.",
			},
			fill: facts("term meaning image",
				"recursion|a function that calls itself on a smaller part of the problem|a doll that holds a smaller doll",
				"a hash table|a store that works out from the key where the value lies|a cloakroom where your name tells the hook",
				"binary search|a search that halves what is left at each step|looking up a word in a paper dictionary",
				"a stack|a store where the last thing in is the first thing out|a pile of plates",
				"a queue|a store where the first thing in is the first thing out|the line at a bakery",
				"a variable|a name for a value that may change|a box with a label",
				"an algorithm|a list of exact steps that solves a kind of problem|a recipe",
				"a pointer|a value that tells where another value lies|a signpost",
				"version control|a memory of all earlier states of your files|a diary that you can travel back in",
				"an API|a set of requests that a program promises to answer|the menu of a restaurant"),
		},
	}}
}
