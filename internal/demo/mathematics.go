package demo

import "math/rand/v2"

// mathematics makes up its numbers, so that no two questions need be alike, and works out the right answers.
func mathematics() course {
	return course{subject: "mathematics", threads: []thread{
		{
			grades:  middle(),
			titles:  []string{"How do I solve {a}x + {b} = {c}?", "What is x in {a}x + {b} = {c}?", "Can someone check my equation {a}x + {b} = {c}?", "Which steps solve {a}x + {b} = {c}?"},
			details: []string{"I know I have to get x alone, but in which order?", "I tried to divide by {a} first and got a fraction.", "The book gives no steps, only the result."},
			answers: []string{
				"Subtract {b} on both sides, which leaves {a}x = {ax}. Then divide by {a}: x = {x}.",
				"x = {x}. To check, put it in: {a} · {x} + {b} = {c}.",
				"Undo things in reverse order. The + {b} goes first, then the times {a}. You end with x = {x}.",
				"Take away {b} from {c}, which is {ax}, and ask how many times {a} fits: {x} times.",
			},
			fill: func(r *rand.Rand) filling {
				a, b, x := between(r, 2, 12), between(r, 1, 40), between(r, 2, 15)
				return numbers(map[string]int{"a": a, "b": b, "x": x, "ax": a * x, "c": a*x + b})
			},
		},
		{
			grades:  primary(),
			titles:  []string{"How do I work out {p}% of {n}?", "What is {p} percent of {n}?", "Something costs {n} euros and is {p}% off: how much do I save?", "Is there a quick way to find {p}% of {n}?"},
			details: []string{"No calculator allowed.", "I never know whether to multiply or to divide.", "My result was larger than {n}, so something is wrong."},
			answers: []string{
				"One percent of {n} is {n} ÷ 100. Take it {p} times and you have {part}.",
				"Ten percent of {n} is {tenth}. From there you can build {p}%: it is {part}.",
				"{n} · {p} ÷ 100 = {part}. Multiply first, then divide.",
				"{part}. What remains is {rest}, and the two together are {n} again.",
			},
			fill: func(r *rand.Rand) filling {
				p, n := 5*between(r, 1, 19), 20*between(r, 2, 60)
				return numbers(map[string]int{"p": p, "n": n, "part": n * p / 100, "tenth": n / 10, "rest": n - n*p/100})
			},
		},
		{
			grades:  primary(),
			titles:  []string{"What is the area of a rectangle of {a} cm by {b} cm?", "A rectangle is {a} cm long and {b} cm wide. What are its area and perimeter?", "How long is the fence around a garden of {a} m by {b} m?", "Area or perimeter: what do I need for {a} by {b}?"},
			details: []string{"I mix up area and perimeter.", "I added the two sides and that was wrong.", "There is no drawing with it."},
			answers: []string{
				"Area is length times width: {a} · {b} = {area}. The way around is 2 · ({a} + {b}) = {around}.",
				"Think of {b} rows with {a} squares each, so {area} squares in all. That is the area.",
				"For a fence you need the perimeter: {a} + {b} + {a} + {b} = {around}.",
				"Area {area}, perimeter {around}. Mind the units: area is in square units.",
			},
			fill: func(r *rand.Rand) filling {
				a, b := between(r, 5, 30), between(r, 2, 20)
				return numbers(map[string]int{"a": a, "b": b, "area": a * b, "around": 2 * (a + b)})
			},
		},
		{
			grades:  middle(),
			titles:  []string{"Is {n} a prime number?", "How can I tell whether {n} is prime?", "Why is {n} not a prime number?", "What are the prime factors of {n}?"},
			details: []string{"I tried 2, 3 and 5, and none of them divides it.", "Do I really have to try every number up to {n}?", "It looks prime to me."},
			answers: []string{
				"It is not prime: {n} = {p} · {q}.",
				"You only have to try primes up to the square root of {n}. At {p} you are lucky: {n} ÷ {p} = {q}.",
				"{p} divides {n}, so it is no prime. The factors {p} and {q} are both prime.",
				"Try 7, 11, 13 and so on. {p} · {q} gives exactly {n}.",
			},
			fill: func(r *rand.Rand) filling {
				p := one(r, []int{7, 11, 13, 17})
				q := one(r, []int{17, 19, 23, 29, 31, 37, 41, 43, 47, 53})
				return numbers(map[string]int{"p": p, "q": q, "n": p * q})
			},
		},
		{
			grades:  high(),
			titles:  []string{"What are the roots of x² − {sum}x + {product}?", "How do I factor x² − {sum}x + {product}?", "Solving x² − {sum}x + {product} = 0 without the formula?", "Where does the parabola y = x² − {sum}x + {product} cross the x-axis?"},
			details: []string{"The formula works, but my teacher says one can see it.", "I get a square root that does not look right.", "How do I find the two numbers quickly?"},
			answers: []string{
				"Look for two numbers with sum {sum} and product {product}: {p} and {q}. So it is (x − {p})(x − {q}).",
				"The roots are {p} and {q}. Their sum is {sum} and their product {product}, as Vieta says.",
				"Write it as (x − {p})(x − {q}) = 0. A product is zero when one factor is, so x = {p} or x = {q}.",
				"With the formula: {sum} ± {gap} over 2, which gives {q} and {p}.",
			},
			fill: func(r *rand.Rand) filling {
				p := between(r, 1, 9)
				q := p + between(r, 1, 8)
				return numbers(map[string]int{"p": p, "q": q, "sum": p + q, "product": p * q, "gap": q - p})
			},
		},
		{
			grades:  middle(),
			titles:  []string{"What is the mean of {a}, {b} and {c}?", "How do I find the average of {a}, {b} and {c}?", "My marks are {a}, {b} and {c}: what is my average?", "Mean and median of {a}, {b} and {c}: are they the same?"},
			details: []string{"I know there is more than one kind of average.", "Do I divide by 2 or by 3?", "My calculator gives something else."},
			answers: []string{
				"Add them up and divide by how many there are: {sum} ÷ 3 = {mean}.",
				"The mean is {mean}. The median is the one in the middle when they are sorted: {b}.",
				"{a} + {b} + {c} = {sum}, and a third of it is {mean}.",
				"The average is {mean}. It lies between the smallest, {a}, and the largest, {c}, as it must.",
			},
			fill: func(r *rand.Rand) filling {
				a := between(r, 1, 40)
				b := a + between(r, 1, 12)
				c := b + between(r, 1, 12)
				c += (3 - (a+b+c)%3) % 3 // so that the mean is whole
				return numbers(map[string]int{"a": a, "b": b, "c": c, "sum": a + b + c, "mean": (a + b + c) / 3})
			},
		},
	}}
}
