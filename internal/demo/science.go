package demo

import "math/rand/v2"

func physics() course {
	return course{subject: "physics", threads: []thread{
		{
			grades:  middle(),
			titles:  []string{"How long does a {vehicle} at {v} km/h need for {s} km?", "A {vehicle} goes {s} km in {t} hours: how fast is it?", "How far does a {vehicle} get in {t} hours at {v} km/h?", "How many metres a second are {v} km/h?"},
			details: []string{"I always turn the formula the wrong way round.", "Do I have to change the units first?", "Constant speed, no stops."},
			answers: []string{
				"Speed is distance over time: {s} km ÷ {t} h = {v} km/h.",
				"Turn v = s ÷ t as you need it. With {s} km and {v} km/h you get {t} hours.",
				"Distance is speed times time, {v} · {t} = {s} km.",
				"From km/h to m/s you divide by 3.6, so {v} km/h are {ms} m/s.",
			},
			fill: func(r *rand.Rand) filling {
				v, t := 18*between(r, 2, 6), between(r, 2, 7)
				f := numbers(map[string]int{"v": v, "t": t, "s": v * t, "ms": v * 10 / 36})
				f["vehicle"] = one(r, []string{"train", "car", "bus", "lorry", "coach"})
				return f
			},
		},
		{
			grades:  middle(),
			titles:  []string{"Why is it that {fact}?", "What is the reason that {fact}?", "How would you explain that {fact}?", "My little sister asks why {fact}. What do I say?", "Is there a simple reason why {fact}?"},
			details: []string{"I could only say that it is so.", "We saw it in an experiment but ran out of time.", "I found three explanations that contradict each other."},
			answers: []string{
				"Because {reason}.",
				"The key is that {reason}.",
				"In one sentence: {reason}.",
				"Try it yourself if you can, it is easier to believe then. It happens because {reason}.",
			},
			fill: facts("fact reason",
				"the sky is blue|air scatters blue light far more than red light",
				"ice floats on water|water expands when it freezes, so that ice is lighter than the water around it",
				"a spoon in a glass looks bent|light changes direction where water meets air",
				"metal feels colder than wood|metal leads the warmth of your hand away faster",
				"thunder comes after lightning|sound is nearly a million times slower than light",
				"a heavy ship floats|it pushes away as much water as it weighs",
				"astronauts float in orbit|they and their ship fall around the Earth together",
				"the pitch of a siren drops when it passes|the waves are squeezed in front of it and stretched behind it",
				"water boils sooner on a mountain|the pressure of the air is lower there",
				"a mirror swaps left and right but not up and down|it really swaps front and back, and we turn ourselves in our minds"),
		},
		{
			grades:  high(),
			titles:  []string{"What current flows through {R} ohms at {U} volts?", "How do I use Ohm's law with {U} V and {R} Ω?", "What is the power of a {R} Ω resistor at {U} V?", "Is it {I} ampere for {U} V and {R} Ω?"},
			details: []string{"I know U = R · I but not how to turn it.", "The circuit is a single resistor and a battery.", "Units confuse me."},
			answers: []string{
				"I = U ÷ R = {U} ÷ {R} = {I} A. Times the voltage, that is a power of {P} W.",
				"The current is {I} A, and the power U · I is {P} W.",
				"Write down what you have, {U} V and {R} Ω, and divide: {I} A.",
				"Check it backwards: {R} Ω times {I} A are {U} V again. And the power is {U} · {I} = {P} W.",
			},
			fill: func(r *rand.Rand) filling {
				resistance, current := between(r, 2, 50), between(r, 1, 8)
				voltage := resistance * current
				return numbers(map[string]int{"R": resistance, "I": current, "U": voltage, "P": voltage * current})
			},
		},
	}}
}

func chemistry() course {
	return course{subject: "chemistry", threads: []thread{
		{
			grades:  middle(),
			titles:  []string{"Why is the symbol of {element} {symbol}?", "What is {element} used for?", "Is {element} a metal?", "What should I know about {element} ({symbol})?"},
			details: []string{"We each got one element to present.", "The periodic table alone does not tell me much.", "I would like something that I can show the class."},
			answers: []string{
				"The symbol {symbol} comes from {origin}.",
				"{element} is {kind}. It is used for {use}.",
				"Bring something along: you find {element} in {use}.",
				"It is {kind}, and its name in the table, {symbol}, goes back to {origin}.",
			},
			fill: facts("element symbol origin kind use",
				"iron|Fe|the Latin ferrum|a metal|steel, tools and magnets",
				"sodium|Na|the Latin natrium|a soft metal|table salt and street lamps",
				"gold|Au|the Latin aurum|a noble metal|jewellery and electric contacts",
				"lead|Pb|the Latin plumbum|a heavy metal|car batteries and shields against radiation",
				"tungsten|W|the German Wolfram|a metal that melts only at about 3,400 °C|drills and old light bulbs",
				"mercury|Hg|the Greek for water-silver|a metal that is liquid at room temperature|old thermometers and some lamps",
				"potassium|K|the Latin kalium|a soft metal|fertiliser",
				"silver|Ag|the Latin argentum|a noble metal|mirrors, jewellery and old photographic film",
				"helium|He|the Greek for sun|a noble gas, no metal|balloons and the cooling of magnets"),
		},
		{
			grades:  high(),
			titles:  []string{"Is {thing} a chemical or a physical change?", "What happens to the particles when {doing}?", "Why does it matter that {thing} is {kind}?", "Can one undo it when {doing}?"},
			details: []string{"Our class is divided about it.", "The definition in the book is not clear to me.", "I would have said the opposite."},
			answers: []string{
				"It is {kind}: {reason}.",
				"Ask whether new substances appear. Here {reason}, so it is {kind}.",
				"When {doing}, {reason}.",
				"I would call it {kind}. The test is what you have afterwards: {reason}.",
			},
			fill: facts("thing doing kind reason",
				"melting ice|ice melts|a physical change|the molecules stay the same and only move more freely",
				"burning wood|wood burns|a chemical change|wood and oxygen become ash, water and carbon dioxide",
				"rusting iron|iron rusts|a chemical change|iron and oxygen become an iron oxide",
				"dissolving sugar in tea|sugar dissolves|a physical change|the sugar is still there and comes back when the water is gone",
				"frying an egg|an egg is fried|a chemical change|the proteins unfold and link up, for good",
				"boiling water|water boils|a physical change|steam is still water, only as a gas",
				"baking bread|bread bakes|a chemical change|starch and protein turn into new substances with a new taste",
				"souring milk|milk turns sour|a chemical change|bacteria turn the milk sugar into lactic acid"),
		},
		{
			grades:  high(),
			titles:  []string{"How many grams are {n} mol of {substance}?", "What is the mass of {n} mol {formula}?", "How do I get from {n} mol of {substance} to grams?", "How many moles are {m} g of {substance}?"},
			details: []string{"Rounded molar masses are fine.", "I do not see what a mole is good for.", "Do I multiply or divide by the molar mass?"},
			answers: []string{
				"The molar mass of {formula} is about {M} g/mol. Times {n} that makes {m} g.",
				"m = n · M = {n} mol · {M} g/mol = {m} g.",
				"Add up the atomic masses in {formula}, which gives {M}, then multiply by {n}: {m} g.",
				"One mole of {substance} weighs {M} g, so {m} g are {n} mol.",
			},
			fill: func(r *rand.Rand) filling {
				substance := one(r, []struct {
					name, formula string
					mass          int // g/mol
				}{
					{"water", "H₂O", 18}, {"carbon dioxide", "CO₂", 44}, {"methane", "CH₄", 16}, {"ammonia", "NH₃", 17}, {"oxygen", "O₂", 32},
					{"sodium hydroxide", "NaOH", 40}, {"glucose", "C₆H₁₂O₆", 180}, {"calcium carbonate", "CaCO₃", 100},
				})
				n := between(r, 2, 12)
				f := numbers(map[string]int{"n": n, "M": substance.mass, "m": n * substance.mass})
				f["substance"], f["formula"] = substance.name, substance.formula
				return f
			},
		},
	}}
}
