package emergency

import (
	"strings"

	"github.com/chatmed/chatmed/internal/clinical/emergency/text"
)

// A measure is a quantity that people state in words: an age, a temperature.
type measure uint8

const (
	noMeasure measure = iota
	measureAge
	measureGestation

	measureDuration
	measureTemperature
	measureHeartRate
	measureBreathingRate
	measureOxygen
	measureGlucose
	measureSystolic
	measureTablets
	measureINR
	measurePotassium
)

// measures are the names that measures.yaml uses, with their units.
var measures = map[string]measure{
	"age_years": measureAge, "gestation_weeks": measureGestation, "duration_days": measureDuration,
	"temperature_celsius": measureTemperature, "heart_rate_per_minute": measureHeartRate,
	"breathing_rate_per_minute": measureBreathingRate, "oxygen_percent": measureOxygen,
	"glucose_mg_dl": measureGlucose, "systolic_mmhg": measureSystolic, "tablets": measureTablets,
	"inr": measureINR, "potassium_mmol": measurePotassium,
}

// fact is one quantity in a text.
type fact struct {
	what     measure
	value    float64
	from, to int32
}

const (
	week  = 7.0
	month = 30.4
	year  = 365.25
)

// periods are units of time in days. A word such as شهرين holds its own number.
var periods = map[string]struct{ days, own float64 }{
	"minute": {1.0 / 1440, 0}, "minutes": {1.0 / 1440, 0}, "min": {1.0 / 1440, 0}, "mins": {1.0 / 1440, 0}, "mn": {1.0 / 1440, 0},
	"hour": {1.0 / 24, 0}, "hours": {1.0 / 24, 0}, "hr": {1.0 / 24, 0}, "hrs": {1.0 / 24, 0}, "h": {1.0 / 24, 0}, "heure": {1.0 / 24, 0}, "heures": {1.0 / 24, 0},
	"day": {1, 0}, "days": {1, 0}, "d": {1, 0}, "jour": {1, 0}, "jours": {1, 0}, "j": {1, 0},
	"week": {week, 0}, "weeks": {week, 0}, "wk": {week, 0}, "wks": {week, 0}, "w": {week, 0}, "semaine": {week, 0}, "semaines": {week, 0}, "sem": {week, 0}, "sa": {week, 0},
	"month": {month, 0}, "months": {month, 0}, "mo": {month, 0}, "mos": {month, 0}, "mth": {month, 0}, "mths": {month, 0}, "mois": {month, 0},
	"year": {year, 0}, "years": {year, 0}, "yr": {year, 0}, "yrs": {year, 0}, "y": {year, 0}, "yo": {year, 0}, "an": {year, 0}, "ans": {year, 0}, "annees": {year, 0}, "annee": {year, 0},
	"دقيقه": {1.0 / 1440, 0}, "دقايق": {1.0 / 1440, 0}, "دقيقتين": {1.0 / 1440, 2},
	"ساعه": {1.0 / 24, 0}, "ساعات": {1.0 / 24, 0}, "ساعتين": {1.0 / 24, 2}, "سوايع": {1.0 / 24, 0},
	"يوم": {1, 0}, "ايام": {1, 0}, "يومين": {1, 2}, "يوما": {1, 0}, "نهار": {1, 0}, "نهارين": {1, 2}, "تيام": {1, 0},
	"اسبوع": {week, 0}, "اسابيع": {week, 0}, "اسبوعين": {week, 2}, "سيمانه": {week, 0}, "سيمانات": {week, 0}, "جمعه": {week, 0},
	"شهر": {month, 0}, "شهور": {month, 0}, "اشهر": {month, 0}, "شهرين": {month, 2}, "شهران": {month, 2}, "شهرا": {month, 0},
	"سنه": {year, 0}, "سنين": {year, 0}, "سنوات": {year, 0}, "سنتين": {year, 2}, "عام": {year, 0}, "عامين": {year, 2}, "اعوام": {year, 0}, "عاما": {year, 0}, "عوام": {year, 0}, "سنتان": {year, 2},
}

// hints are the words that say what a number near them is.
var hints = map[string]measure{}

func init() {
	for what, list := range map[measure][]string{
		measureAge:         {"old", "aged", "age", "agee", "ages", "العمر", "عمره", "عمرها", "عمري", "عمرو", "عمر", "عمرهم", "عنده", "omro", "omri", "omrha", "yearold", "yrsold", "عندو", "المراه"},
		measureGestation:   {"pregnant", "pregnancy", "gestation", "preggo", "enceinte", "grossesse", "amenorrhee", "حامل", "حمل", "الحمل", "حامله", "بالحمل", "7amla", "along"},
		measureTemperature: {"fever", "temperature", "temp", "thermometer", "febrile", "celsius", "fahrenheit", "fievre", "thermometre", "حراره", "الحراره", "حرارته", "حرارتها", "حرارتي", "سخانه", "سخون", "سخونه", "حمي", "السخانه", "skhana", "harara", "degrees", "degree", "deg", "degres", "درجه", "درجات", "حرارتو", "سخونيه", "سخانتو", "سخون"}, //nolint:misspell // French
		measureHeartRate:   {"pulse", "bpm", "heartbeat", "heartrate", "pouls", "battements", "frequence", "نبض", "النبض", "نبضه", "نبضي", "نبضها", "نبضات", "دقات", "hr", "heart", "coeur"},                                                                                                                                                             //nolint:misspell // French
		measureBreathingRate: {"breaths", "breathing", "breathes", "respirations", "respiratory", "respire", "respiration", "نفس", "تنفس", "يتنفس",
			"تتنفس", "التنفس", "rr", "breathe", "انفاس"},
		measureOxygen:    {"oxygen", "oximeter", "spo2", "sats", "sat", "saturation", "o2", "oxygene", "oxymetre", "saturometre", "اكسجين", "الاكسجين", "الاوكسجين", "اكسجينه", "اوكسجين", "sao2", "الاكسيجين", "تشبع"},
		measureGlucose:   {"sugar", "sugars", "glucose", "glucometer", "bm", "glycemie", "glycemia", "dextro", "سكر", "السكر", "سكري", "سكره", "سكرها", "bloodsugar", "sucre", "السكري", "سكرو"},
		measureINR:       {"inr"},
		measurePotassium: {"potassium", "kaliemie", "بوتاسيوم", "البوتاسيوم"},
		measureSystolic:  {"bp", "pressure", "tension", "ضغط", "الضغط", "ضغطي", "ضغطها", "ضغطه", "systolic"},
		measureTablets: {"tablets", "tablet", "pills", "pill", "tabs", "capsules", "comprimes", "comprime", "cachets", "cachet", "gelules", "pilules", "حبات", "حبوب", "حبه", "اقراص", "قرص", "كبسولات", "paracetamols", "dolipranes", "strips",
			"plaquettes", "boites", "packets", "doliprane", "paracetamol", "panadol", "panadols", "بانادول", "باراسيتامول", "sleepers", "boxes", "شريط", "علبه", "efferalgan", "دوليبران", "tylenol", "7abat"},
	} {
		for _, w := range list {
			for _, t := range text.Tokens(w, nil) {
				hints[t.Form] = what
			}
		}
	}
}

// of and about: words between a number and its unit or its hint.
var between = map[string]bool{
	"of": true, "de": true, "des": true, "le": true, "a": true, "about": true, "around": true, "is": true, "was": true,
	"only": true, "at": true, "to": true, "est": true, "she": true, "he": true, "im": true, "with": true, "my": true, "the": true,
	"من": true, "في": true, "حوالي": true, "the_": true, "environ": true, "per": true, "par": true, "over": true, "nearly": true, "almost": true, "just": true,
	"plus": true, "rate": true, "cardiaque": true, "reads": true, "reading": true, "says": true, "read": true, "wa": true, "hit": true, "القلب": true,
	"level": true, "levels": true, "blood": true, "فوق": true, "وصلت": true, "وصل": true, "اكثر": true, "full": true, "fil": true, "this": true, "already": true, "extra": true,
}

// facts reads the quantities of a text.
func facts(tokens []text.Token, into []fact) []fact {
	into = into[:0]
	for i := 0; i < len(tokens); i++ {
		if p, ok := periods[tokens[i].Form]; ok && p.own > 0 {
			into = append(into, period(tokens, i, i+1, p.own*p.days))
			continue
		}
		v, n := text.NumberAt(tokens, i)
		if n == 0 {
			continue
		}
		end := i + n
		j := end
		for j < len(tokens) && j < end+1 && between[tokens[j].Form] {
			j++
		}
		if j < len(tokens) {
			if p, ok := periods[tokens[j].Form]; ok {
				into = append(into, period(tokens, i, j+1, v*p.days))
				i = j
				continue
			}
		}
		if f, ok := quantity(tokens, i, end, v); ok {
			into = append(into, f)
		}
		i = end - 1
	}
	return into
}

func at(tokens []text.Token, i int) string {
	if i < 0 || i >= len(tokens) {
		return ""
	}
	return tokens[i].Form
}

var (
	sinceWords = map[string]bool{"for": true, "since": true, "depuis": true, "pendant": true, "durant": true, "من": true, "منذ": true, "صار": true, "صارلي": true, "صارله": true, "صارلها": true, "last": true, "past": true, "every": true, "ليا": true, "هادي": true, "fait": true, "y": true, "in": true, "dans": true, "قبل": true, "dernieres": true, "كل": true, "toutes": true, "within": true, "بعد": true, "after": true, "apres": true, "بقالي": true, "بقاله": true, "بقالها": true, "هذي": true}
	agoWords   = map[string]bool{"ago": true, "later": true, "earlier": true, "before": true, "since": true, "now": true, "straight": true, "postpartum": true}
	youngWords = map[string]bool{"baby": true, "babies": true, "infant": true, "newborn": true, "bebe": true, "nourrisson": true, "enfant": true, "child": true, "son": true, "daughter": true, "boy": true, "girl": true, "toddler": true, "fils": true, "fille": true, "petit": true, "petite": true, "kid": true, "رضيع": true, "طفل": true, "ابني": true, "بنتي": true, "ولدي": true, "بيبي": true, "طفلي": true, "طفلتي": true, "رضيعي": true, "الرضيع": true, "رضيعتي": true, "مولود": true, "garcon": true, "grandson": true, "granddaughter": true, "nephew": true, "niece": true, "lo": true, "bb": true, "little": true, "ابن": true, "ولد": true, "وليدي": true, "البيبي": true, "رضيعه": true, "طفله": true, "waldi": true, "bnti": true}
	iamWords   = map[string]bool{"im": true, "am": true, "shes": true, "hes": true, "is": true, "aged": true, "age": true, "agee": true, "العمر": true, "عمري": true, "عمره": true, "عمرها": true, "عمرو": true, "عمر": true, "turning": true}
)

// period says what a stretch of time is: an age, a week of pregnancy, or how
// long something has lasted.
func period(tokens []text.Token, from, to int, days float64) (f fact) {
	f = fact{measureDuration, days, int32(from), int32(to)} //nolint:gosec // bounded text
	for k := to; k < to+3 && k < len(tokens); k++ {
		w := tokens[k].Form
		if h := hints[w]; h == measureGestation || h == measureAge {
			if h == measureAge && (w == "عنده" || w == "عندو") {
				break
			}
			f.what = h
			return f.years(h)
		}
		if agoWords[w] {
			return f
		}
		if !between[w] && w != "and" && w != "et" && w != "half" && w != "demi" {
			break
		}
	}
	if at(tokens, to-1) == "yo" {
		return f.years(measureAge)
	}
	if strings.HasPrefix(at(tokens, to-1), "w") || strings.HasPrefix(at(tokens, to-1), "sem") || strings.HasPrefix(at(tokens, to-1), "اسبوع") {
		defer func() {
			if f.what == measureDuration && days > 5*week && days < 43*week && f.bare(tokens) {
				f = f.years(measureGestation)
			}
		}()
	}
	for k := from - 1; k >= 0 && from-k <= 3; k-- {
		w := tokens[k].Form
		if sinceWords[w] {
			if w != "y" || at(tokens, k-1) == "il" {
				return f
			}
		}
		if h := hints[w]; h == measureGestation || h == measureAge {
			return f.years(h)
		}
		if iamWords[w] && days > 300 && from-k == 1 {
			return f.years(measureAge)
		}
		if youngWords[w] && days < 18*year {
			return f.years(measureAge)
		}
		if days > 300 && (at(tokens, to-1) == "ans") && from-k == 3 {
			return f.years(measureAge)
		}
	}
	if at(tokens, to-1) == "ans" && days > 18*year {
		return f.years(measureAge)
	}
	if youngWords[at(tokens, to)] && days < 18*year && from > 0 {
		return f.years(measureAge)
	}
	if (at(tokens, to-1) == "sa" || at(tokens, from-1) == "at") && days > 4*week && days < 43*week {
		return f.years(measureGestation)
	}
	return f
}

// bare: no word beside it says that weeks have passed since something. Then
// people count the weeks of a pregnancy.
func (f fact) bare(tokens []text.Token) bool {
	for k := int(f.from) - 2; k < int(f.to)+3; k++ {
		w := at(tokens, k)
		if sinceWords[w] || agoWords[w] || w == "post" || w == "of" || w == "old" || w == "wait" || w == "off" || w == "il" {
			return false
		}
	}
	return true
}

func (f fact) years(what measure) fact {
	f.what = what
	switch what {
	case measureAge:
		f.value /= year
	case measureGestation:
		f.value /= week
	}
	return f
}

// quantity reads a number that is no time, by its unit or the words near it.
func quantity(tokens []text.Token, from, to int, v float64) (fact, bool) {
	if w := at(tokens, from-1); w == "/" || (w == "sur" || w == "over" || w == "علي") && from > 1 && tokens[from-2].Numeric { // the second half of 120/80
		return fact{}, false
	}
	f := fact{noMeasure, v, int32(from), int32(to)} //nolint:gosec // bounded text
	switch at(tokens, to) {
	case "f", "m": // 34F is a woman of 34
		if tokens[to].Start == tokens[to-1].End && v >= 14 && v <= 75 && at(tokens, to) != at(tokens, to-1) {
			return fact{measureAge, v, f.from, f.to + 1}, true
		}
		if t, ok := celsius(v); ok && at(tokens, to) == "f" && v > 45 {
			return fact{measureTemperature, t, f.from, f.to + 1}, true
		}
	case "deg", "degrees", "degree", "degres", "c", "celsius", "fahrenheit", "درجه":
		if t, ok := celsius(v); ok {
			return fact{measureTemperature, t, f.from, f.to + 1}, true
		}
	case "bpm":
		return fact{measureHeartRate, v, f.from, f.to + 1}, true
	case "percent":
		if h := hintNear(tokens, from, to+1, 5); h == measureOxygen {
			return fact{measureOxygen, v, f.from, f.to + 1}, true
		}
		return f, false
	case "mmol":
		if v < 60 {
			return fact{measureGlucose, v * 18, f.from, f.to + 1}, true
		}
	case "mg":
		if at(tokens, to+1) == "/" || at(tokens, to+1) == "dl" {
			return fact{measureGlucose, v, f.from, f.to + 1}, true
		}
		return f, false
	case "/", "sur", "over", "علي":
		if next := at(tokens, to+1); next == "min" || next == "mn" || next == "minute" {
			if hintNear(tokens, from, to, 5) == measureBreathingRate {
				return fact{measureBreathingRate, v, f.from, f.to + 2}, true
			}
			return fact{measureHeartRate, v, f.from, f.to + 2}, true
		}
		if v >= 60 && v <= 280 && to+1 < len(tokens) && tokens[to+1].Numeric && tokens[to+1].Number >= 30 {
			return fact{measureSystolic, v, f.from, f.to + 2}, true
		}
		return f, false
	case "g":
		if v < 10 && hintNear(tokens, from, to, 4) == measureGlucose {
			return fact{measureGlucose, v * 100, f.from, f.to + 1}, true
		}
		return f, false
	case "kg", "ml", "l", "cm", "mm", "euros", "dollars", "dh", "st", "nd", "rd", "th", "am", "pm", "x", "fois", "times":
		return f, false
	case "breaths", "respirations":
		return fact{measureBreathingRate, v, f.from, f.to + 1}, true
	}
	if age := iamWords[at(tokens, from-1)] && v >= 14 && v <= 110 && v == float64(int(v)); age && (to >= len(tokens) || tokens[to].Soft || at(tokens, to) == "and" || at(tokens, to) == "et") || at(tokens, from-1) == "age" {
		return fact{measureAge, v, f.from, f.to}, true
	}
	if w := at(tokens, to); v >= 34 && v < 37.5 && (w == "sous" || w == "under") {
		return fact{measureTemperature, v, f.from, f.to}, true
	}
	if v >= 37.5 && v <= 42.5 && strings.ContainsRune(tokens[from].Form, '.') {
		return fact{measureTemperature, v, f.from, f.to}, true
	}
	f.what = hintNear(tokens, from, to, 4)
	switch f.what {
	case measureTemperature:
		var ok bool
		f.value, ok = celsius(v)
		return f, ok
	case measureHeartRate:
		return f, v >= 20 && v <= 320
	case measureBreathingRate:
		return f, v >= 4 && v <= 120
	case measureOxygen:
		return f, v >= 40 && v <= 100
	case measureGlucose:
		if v < 35 {
			if v < 6.5 && at(tokens, to) == "/" {
				v /= 10
			}
			f.value = v * 18
		}
		return f, v > 0 && v < 2500
	case measureSystolic:
		if v < 30 {
			f.value = v * 10 // 18/11, as the French say it
		}
		return f, f.value >= 50 && f.value <= 300
	case measureTablets:
		return f, v < 1000
	case measureINR:
		return f, v > 0.5 && v < 20
	case measurePotassium:
		return f, v > 1 && v < 12
	case measureAge:
		return f, v <= 120
	case measureGestation:
		return f, v >= 4 && v <= 43
	}
	if v >= 38.0 && v <= 42.5 && v != float64(int(v)) {
		return fact{measureTemperature, v, f.from, f.to}, true
	}
	return f, false
}

// celsius takes a body temperature in either scale.
func celsius(v float64) (float64, bool) {
	switch {
	case v >= 24 && v <= 45:
		return v, true
	case v >= 76 && v <= 115:
		return (v - 32) / 1.8, true
	}
	return 0, false
}

// hintNear finds the nearest word that tells what a number is: in its sentence,
// and behind it not after a comma.
func hintNear(tokens []text.Token, from, to, reach int) measure {
	ahead, behind := true, true
	for d := 1; d <= reach; d++ {
		if k := to + d - 1; ahead && k < len(tokens) {
			ahead = !tokens[k].Soft
			if h := hints[tokens[k].Form]; ahead && h != noMeasure && (d <= 2 || h == measureOxygen || h == measureTemperature) {
				return h
			}
		}
		if k := from - d; behind && k >= 0 {
			if behind = !tokens[k+1].Break && (d == 1 || !tokens[k+1].Numeric); !behind {
				continue
			}
			if h := hints[tokens[k].Form]; h != noMeasure {
				return h
			}
		}
	}
	return noMeasure
}
