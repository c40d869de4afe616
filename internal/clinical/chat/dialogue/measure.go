package dialogue

import (
	"regexp"
	"strconv"
	"strings"
)

var number = map[string]float64{
	"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
	"couple of": 2, "a couple of": 2, "few": 3, "a few": 3, "several": 4, "twelve": 12, "fifteen": 15, "twenty": 20,
	"un": 1, "une": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "sept": 7, "huit": 8, "neuf": 9, "dix": 10, "quinze": 15, "quelques": 3, "plusieurs": 4,
	"يوم": 1, "ثلاثه": 3, "ثلاث": 3, "تلات": 3, "اربعه": 4, "اربع": 4, "خمسه": 5, "خمس": 5, "سته": 6, "ست": 6, "سبعه": 7, "سبع": 7, "ثمانيه": 8, "تسعه": 9, "عشره": 10, "بضعه": 3, "كم": 3, "عده": 4,
}

const numbers = `(\d{1,3}(?:[.,]\d)?|a couple of|couple of|a few|few|several|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|une?|deux|trois|quatre|cinq|sept|huit|neuf|dix|quinze|quelques|plusieurs|ثلاثه?|تلات|اربعه?|خمسه?|سته?|سبعه?|ثمانيه|تسعه|عشره|بضعه|كم|عده)`

// Days of each unit, by how it begins.
var units = []struct {
	begins string
	days   float64
}{
	{"hour", 1.0 / 24}, {"hr", 1.0 / 24}, {"heure", 1.0 / 24}, {"ساع", 1.0 / 24}, {"minute", 1.0 / 1440}, {"دقي", 1.0 / 1440},
	{"day", 1}, {"night", 1}, {"jour", 1}, {"nuit", 1}, {"يوم", 1}, {"ايام", 1},
	{"week", 7}, {"wk", 7}, {"semaine", 7}, {"اسبوع", 7}, {"اسابيع", 7}, {"month", 30}, {"mois", 30}, {"شهر", 30}, {"شهور", 30}, {"اشهر", 30},
	{"year", 365}, {"an", 365}, {"سن", 365},
}

var (
	lasting = regexp.MustCompile(numbers + `\s+(hours?|hrs?|minutes?|days?|nights?|weeks?|wks?|months?|years?|heures?|jours?|nuits?|semaines?|mois|ans?|annees?|ساعات|ساعه|دقيقه|دقائق|دقايق|يوم|ايام|اسبوع|اسابيع|شهر|شهور|اشهر|سنه|سنوات|سنين)(\s+old|\s+of age|\s+pregnant|\s+enceinte)?`)
	said    = []struct {
		re   *regexp.Regexp
		days float64
	}{
		{regexp.MustCompile(`\b(since yesterday|yesterday|depuis hier|hier)\b|امبارح|البارحه|مبارح|امس`), 1},
		{regexp.MustCompile(`\b(this morning|today|tonight|last night|ce matin|aujourd hui|aujourdhui|cette nuit|just now|a l instant)\b|اليوم|هذا الصباح|الصبح|الليله`), 0.3},
		{regexp.MustCompile(`\b(last week|la semaine derniere)\b|الاسبوع الماضي`), 7},
		{regexp.MustCompile(`\b(last month|le mois dernier)\b|الشهر الماضي`), 30},
		{regexp.MustCompile(`يومين`), 2}, {regexp.MustCompile(`اسبوعين`), 14}, {regexp.MustCompile(`شهرين`), 60}, {regexp.MustCompile(`سنتين`), 730}, {regexp.MustCompile(`ساعتين`), 2.0 / 24},
		{regexp.MustCompile(`(منذ|من|صارلي) (اسبوع)`), 7}, {regexp.MustCompile(`(منذ|من|صارلي) (شهر)`), 30}, {regexp.MustCompile(`(منذ|من|صارلي) (يوم)( |$)`), 1},
	}
	ages = []struct {
		re    *regexp.Regexp
		years float64
	}{
		{regexp.MustCompile(`\b(\d{1,3}) ?(?:years?|yrs?) ?old\b`), 1}, {regexp.MustCompile(`\b(\d{1,3}) ?(?:yo|y o)\b`), 1},
		{regexp.MustCompile(`\b(\d{1,2}) ?months? ?old\b`), 1.0 / 12}, {regexp.MustCompile(`\b(\d{1,2}) ?weeks? ?old\b`), 1.0 / 52}, {regexp.MustCompile(`\b(\d{1,2}) ?days? ?old\b`), 1.0 / 365},
		{regexp.MustCompile(`\b(?:i am|im|aged?|is|turned) (\d{1,3})( and\b| now\b|$)`), 1},
		{regexp.MustCompile(`\b(?:j ai|ai|age de|agee de|a|il a|elle a|de) (\d{1,3}) ans\b`), 1}, {regexp.MustCompile(`\b(?:age de|agee de|il a|elle a|de|bebe a) (\d{1,2}) mois\b`), 1.0 / 12},
		{regexp.MustCompile(`عمر\S* (\d{1,3}) ?(شهر|اشهر|شهور)`), 1.0 / 12}, {regexp.MustCompile(`عمر\S* (\d{1,3})`), 1},
	}
	ofTen = regexp.MustCompile(`\b(\d{1,2}) ?(?:/|out of|sur|من) ?10\b`)
	bare  = regexp.MustCompile(`^\D{0,12}?(\d{1,3})\D{0,8}$`)
)

// days reads how long something has lasted.
func days(folded string) (float64, bool) {
	for _, m := range lasting.FindAllStringSubmatchIndex(folded, -1) {
		if m[6] >= 0 {
			continue // an age, or weeks of pregnancy
		}
		unit := folded[m[4]:m[5]]
		ahead := folded[:m[0]]
		if strings.HasPrefix(unit, "an") && !strings.HasSuffix(ahead, "depuis ") && !strings.HasSuffix(ahead, "il y a ") || strings.Contains(ahead[max(0, len(ahead)-14):], "عمر") {
			continue
		}
		n, ok := number[folded[m[2]:m[3]]]
		if !ok {
			v, err := strconv.ParseFloat(strings.Replace(folded[m[2]:m[3]], ",", ".", 1), 64)
			if err != nil {
				continue
			}
			n = v
		}
		for _, u := range units {
			if strings.HasPrefix(unit, u.begins) {
				return n * u.days, true
			}
		}
	}
	for _, s := range said {
		if s.re.MatchString(folded) {
			return s.days, true
		}
	}
	return 0, false
}

// age reads how old somebody is, in years.
func age(folded string) (float64, bool) {
	for _, a := range ages {
		if m := a.re.FindStringSubmatch(folded); m != nil {
			if n, err := strconv.ParseFloat(m[1], 64); err == nil && n <= 120 {
				return n * a.years, true
			}
		}
	}
	return 0, false
}

func severity(folded string) (int, bool) {
	if m := ofTen.FindStringSubmatch(folded); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n <= 10 {
			return n, true
		}
	}
	return 0, false
}

// aNumber reads an answer that is a number and little else.
func aNumber(folded string) (int, bool) {
	if m := bare.FindStringSubmatch(folded); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return n, true
		}
	}
	return 0, false
}
