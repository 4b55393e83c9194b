package demo

func history() course {
	return course{subject: "history", threads: []thread{
		{
			grades:  high(),
			titles:  []string{"What caused {event}?", "Why did {event} happen?", "How would you sum up {event} in two sentences?", "What were the consequences of {event}?", "Could {event} have been avoided?"},
			details: []string{"I have to write an essay of two pages.", "Our book names ten causes and I cannot tell which mattered most.", "I know the date, {year}, but not the story."},
			answers: []string{
				"The main cause was {cause}. It led to {result}.",
				"Historians argue about it, but {cause} is on every list.",
				"It began around {year}. Behind it stood {cause}; what came of it was {result}.",
				"For the consequences I would name {result} first.",
			},
			fill: facts("event year cause result",
				"the French Revolution|1789|the debts of the crown and the anger over privileges|the end of the old order and, in time, Napoleon's rise",
				"the First World War|1914|a net of alliances that turned one murder into a war of all|the fall of four empires and a peace that did not last",
				"the Thirty Years' War|1618|the quarrel over religion and power in the Holy Roman Empire|a ruined country and the Peace of Westphalia",
				"the American War of Independence|1775|taxes that were raised without a vote of those who paid them|the United States and an example for others",
				"the Great Depression|1929|a crash of the stock market on top of debt and weak banks|mass unemployment and a larger role of the state",
				"the fall of the Berlin Wall|1989|protests in the East and a border that nobody would defend any more|the reunification of Germany within a year",
				"the Industrial Revolution|1760|coal, cheap labour and new machines for cotton|factories, fast-growing towns and, later, labour laws",
				"the Russian Revolution|1917|hunger, a lost war and a tsar who would not share power|a civil war and the Soviet Union",
				"the partition of India|1947|the hasty end of British rule and distrust between the parties|two states and the flight of millions"),
		},
		{
			grades:  middle(),
			titles:  []string{"Who was {person} and why do we still talk about {them}?", "What did {person} achieve?", "What is {person} known for?", "Why is {person} in every history book?"},
			details: []string{"I drew the name for a short talk.", "Three minutes, no notes, and I know almost nothing.", "I would like one fact that not everybody knows."},
			answers: []string{
				"{person} {deed}.",
				"The short version for your talk: {person} {deed}. The time is {time}.",
				"In {time}, {person} {deed}, and that is why the name stayed.",
				"Begin your talk with the time, {time}. Then the point: {person} {deed}.",
			},
			fill: facts("person them deed time",
				"Cleopatra|her|ruled Egypt as its last queen and dealt with Rome as an equal|the first century BC",
				"Hannibal|him|led an army with elephants over the Alps against Rome|the third century BC",
				"Charlemagne|him|united much of western Europe and was crowned emperor in Rome|the years around 800",
				"Joan of Arc|her|led French troops as a teenager and turned the siege of Orléans|the fifteenth century",
				"Johannes Gutenberg|him|made printing with movable type work in Europe|the middle of the fifteenth century",
				"Ibn Battuta|him|travelled from Morocco to China and left a book about it|the fourteenth century",
				"Florence Nightingale|her|reformed nursing and used statistics to prove her case|the nineteenth century",
				"Simón Bolívar|him|led much of South America to independence from Spain|the early nineteenth century",
				"Harriet Tubman|her|fled from slavery and came back again and again to free others|the middle of the nineteenth century",
				"Mansa Musa|him|ruled Mali and gave away so much gold on a journey that prices fell|the fourteenth century"),
		},
	}}
}

func geography() course {
	return course{subject: "geography", threads: []thread{
		{
			grades:  primary(),
			titles:  []string{"What is the capital of {country}?", "Is {city} the capital of {country}?", "Why is {city} not the capital of {country}?", "Which is larger, {capital} or {city}?"},
			details: []string{"I said {city} and everybody laughed.", "It came up in a quiz yesterday.", "I am making cards for all countries."},
			answers: []string{
				"The capital is {capital}. {city} is larger, which is why so many people get it wrong.",
				"{capital}! The largest city, {city}, is a different one.",
				"{city} has more inhabitants, but the government of {country} sits in {capital}.",
				"Remember it in pairs: {country} and {capital}. Largest does not mean capital.",
			},
			fill: facts("country capital city",
				"Australia|Canberra|Sydney", "Canada|Ottawa|Toronto", "Brazil|Brasília|São Paulo", "Turkey|Ankara|Istanbul", "Switzerland|Bern|Zurich",
				"Morocco|Rabat|Casablanca", "New Zealand|Wellington|Auckland", "Vietnam|Hanoi|Ho Chi Minh City", "Kazakhstan|Astana|Almaty",
				"Nigeria|Abuja|Lagos", "Pakistan|Islamabad|Karachi", "India|New Delhi|Mumbai", "China|Beijing|Shanghai"),
		},
		{
			grades:  middle(),
			titles:  []string{"Why is {place} so {quality}?", "What makes {place} so {quality}?", "How can {place} be so {quality}?", "What is the main reason that {place} is so {quality}?"},
			details: []string{"On the map I see nothing that explains it.", "Is it the climate, or something else?", "We are to explain it with a sketch."},
			answers: []string{
				"The reason is {reason}.",
				"It comes from {reason}. A sketch with arrows shows it well.",
				"Mostly {reason}; other causes add to it.",
				"Look at a relief map and at the winds. You will find {reason}.",
			},
			fill: facts("place quality reason",
				"the Atacama Desert|dry|the Andes on one side and a cold current on the other, which both keep rain away",
				"Iceland|full of volcanoes|two plates that drift apart right under the island",
				"western Norway|wet|moist air from the sea that has to rise over the mountains",
				"the Netherlands|flat|sand and clay that rivers and the sea laid down over a long time",
				"the Dead Sea|salty|water that flows in and leaves only by drying up in the heat",
				"Siberia|cold in winter|the great distance from any sea that would store warmth",
				"Ireland|mild|the warm current that crosses the Atlantic",
				"Japan|often shaken by earthquakes|four plates that meet there",
				"the Nile valley|fertile|the mud that the yearly floods used to leave"),
		},
		{
			grades:  primary(),
			titles:  []string{"Through which countries does the {river} flow?", "Where does the {river} begin and where does it end?", "Which sea does the {river} reach?", "What should I know about the {river}?"},
			details: []string{"We have to colour it on a blank map.", "I know only the part near the end.", "Our teacher asked for the source as well."},
			answers: []string{
				"It rises {source} and ends in {sea}.",
				"The {river} runs through {lands}, among others, and reaches {sea}.",
				"Source: {source}. Mouth: {sea}.",
				"On your map, start {source}, go through {lands}, and stop at {sea}.",
			},
			fill: facts("river source lands sea",
				"Danube|in the Black Forest|Germany, Austria, Hungary and Serbia|the Black Sea",
				"Rhine|in the Swiss Alps|Switzerland, Germany and the Netherlands|the North Sea",
				"Mekong|on the Tibetan Plateau|China, Laos, Cambodia and Vietnam|the South China Sea",
				"Amazon|in the Peruvian Andes|Peru, Colombia and Brazil|the Atlantic",
				"Niger|in the highlands of Guinea|Guinea, Mali, Niger and Nigeria|the Gulf of Guinea",
				"Elbe|in the Giant Mountains|the Czech Republic and Germany|the North Sea",
				"Zambezi|in the north-west of Zambia|Zambia, Angola, Zimbabwe and Mozambique|the Indian Ocean"),
		},
	}}
}
