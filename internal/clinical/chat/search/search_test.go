package search

import "testing"

func docs() []Document {
	return []Document{
		{ID: "hypertension", Names: []string{"High blood pressure", "hypertension"}, Fields: []Field{{"The blood presses on the vessels.", 1}}},
		{ID: "haemorrhoids", Names: []string{"Haemorrhoids", "piles"}, Fields: []Field{{"Swollen veins of the bottom.", 1}}},
		{ID: "pneumonia", Names: []string{"Pneumonia", "lung infection"}, Fields: []Field{{"An infection of the lungs.", 1}}},
		{ID: "glaucoma", Names: []string{"Glaucoma"}, Fields: []Field{{"High pressure in the eye.", 1}}},
	}
}

// Forms, misspellings, what is written as it sounds or as one word.
func TestFind(t *testing.T) {
	ix := New("en", docs())
	for q, want := range map[string]string{
		"What is hypertension?": "hypertension", "hipertention": "hypertension", "bloodpressure": "hypertension", "hypertensive": "hypertension",
		"hemorrhoid": "haemorrhoids", "newmonia": "pneumonia", "infections of a lung": "pneumonia", "glocoma": "glaucoma", "PILES!": "haemorrhoids",
	} {
		if hits := ix.Find(q, 1); len(hits) == 0 || hits[0].ID != want || !hits[0].Sure() && hits[0].Score < leastScore/2 {
			t.Errorf("%s: %+v", q, hits)
		}
	}
	for _, q := range []string{"", "what is the", "capital of France", "football"} {
		if hits := ix.Find(q, 1); len(hits) > 0 && hits[0].Sure() {
			t.Errorf("%s: %+v", q, hits)
		}
	}
}

func TestStems(t *testing.T) {
	for _, same := range [][3]string{
		{"en", "headaches", "headache"}, {"en", "dizzy", "dizziness"}, {"en", "oedema", "edema"}, {"en", "stopped", "stopping"},
		{"fr", "douleurs", "douleur"}, {"fr", "allergique", "allergiques"}, {"ar", "الصداع", "صداع"}, {"ar", "والحمى", "الحمى"},
	} {
		if a, b := Stem(same[0], Fold(same[1])), Stem(same[0], Fold(same[2])); a != b {
			t.Errorf("%s: %s and %s are %s and %s", same[0], same[1], same[2], a, b)
		}
	}
}

func TestLanguages(t *testing.T) {
	for text, want := range map[string]string{"I have a cough": "en", "J'ai mal à la tête": "fr", "عندي صداع": "ar", "": "en"} {
		if got := Language(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("high blood presure", "en")
	f.Add("ارتفاع ضغط", "ar")
	f.Add("l'hyper\xfftension", "fr")
	ix := map[string]*Index{"en": New("en", docs()), "fr": New("fr", docs()), "ar": New("ar", docs())}
	f.Fuzz(func(_ *testing.T, q, language string) {
		if i := ix[language]; i != nil {
			i.Find(q, 3)
		}
		Language(q)
	})
}
