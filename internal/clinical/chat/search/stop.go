//nolint:misspell // French words, without accents
package search

// stop are words that say nothing about what a text is on: function words, and
// what every question about an illness has.
var stop = map[string]map[string]bool{
	"en": set(`a an the is are was were be been being am do does did done have has had having i me my mine you your he she it its we they them their his her this that these those
		and or but if then than so as at by for from in into of on off to up with without about after before when what which who whom whose why how where can could should would will
		shall may might must not no nor any some all there here just very really also too more most much many get gets got getting make makes made one ones thing things im ive dont doesnt isnt
		please tell explain know mean means meaning need want called someone something anyone people person whats hows thats cant let like use used using take takes good bad best really happen happens
		symptom symptoms sign signs cause causes caused treatment treatments treat treated cure help helps deal prevent prevention information info disease condition illness vs versus between difference often usually sometimes always ever still again`),
	"fr": set(`le la les l un une des du de d je j tu il elle on nous vous ils elles me m te t se s mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs ce c cet cette ces ca cela
		et ou mais si donc or ni car que qu qui quoi quel quelle quels quelles dont comment pourquoi quand combien est es suis sont etait etre ete ai as a avons avez ont avoir eu fait faire faut peut peuvent peux doit dois
		ne n pas plus moins tres trop bien dans en sur sous avec sans pour par au aux vers chez entre apres avant depuis pendant y il elle lors comme aussi tout toute tous toutes meme
		symptome symptomes signe signes cause causes traitement traitements traiter soigner guerir guerit aide maladie information savoir dire veut expliquer quelqu un gens personne difference chose bon mauvais souvent toujours parfois`),
	"ar": set(`ما ماذا هل كيف لماذا متى اين من في على عن الى هو هي هم هذا هذه ذلك تلك التي الذي انا انت نحن كان يكون تكون او و ثم لا لم لن ليس قد مع بعد قبل عند كل اي ان اذا كم شو ايش شنو واش كيفاش علاش ليش ليه ايه وش اش ازاي
		اعراض الاعراض اعراضه اعراضها علامات سبب اسباب اسبابه علاج العلاج علاجه مرض المرض معنى يعني بسبب يمكن ممكن يجب لازم شي شيء حاجه ديال تاع بتاع متاع هاد هاذا عندي عنده عندها لي لك له لها الناس شخص الفرق بين كي اللي`),
}

// aspects are words for a side of an illness: with an illness they say little of
// which, so they count less.
var aspects = map[string]map[string]bool{
	"en": set("diet food foods eat eating exercise exercises test tests scan drops tablets tablet pills pill medicine medicines medication drugs surgery operation recovery risk risks stage stages old age child children kid baby adults adult women men fast safe normal natural home night long high low strong bad"),
	"fr": set("regime alimentation aliments manger exercice exercices test examen gouttes comprimes medicament medicaments operation risque risques stade enfant enfants bebe adulte adultes femme homme naturel maison nuit rapide normal age fort haut bas"),
	"ar": set("اكل طعام حميه تمارين تحليل فحص قطره حبوب دواء ادويه عمليه خطر طفل الطفل اطفال الاطفال رضيع كبار نساء رجال طبيعي منزلي الليل سريع عالي منخفض اكله"),
}

// Facet is the part of a text that a question asks for.
type Facet string

// The facets.
const (
	What     Facet = "what"
	Causes   Facet = "causes"
	Symptoms Facet = "symptoms"
	SelfCare Facet = "self_care"
	SeekCare Facet = "seek_care"
	RedFlags Facet = "red_flags"
)

var facets = map[string][]struct {
	facet Facet
	words map[string]bool
}{
	"en": {
		{RedFlags, set("dangerous danger emergency serious ambulance warning fatal deadly")},
		{SeekCare, set("doctor gp hospital worry worried appointment")},
		{SelfCare, set("treat treatment treated cure relief relieve remedy remedies manage help helps stop rid prevent prevention avoid lower reduce heal ease diet eat")},
		{Causes, set("cause causes caused why reason reasons catch contagious spread triggers risk")},
		{Symptoms, set("symptom symptoms sign signs feel feels look looks recognise recognize")},
	},
	"fr": {
		{RedFlags, set("dangereux dangereuse danger urgence urgences grave samu mortel")},
		{SeekCare, set("medecin docteur consulter hopital inquieter inquiete")},
		{SelfCare, set("traiter traitement soigner guerir soulager remede remedes calmer eviter prevenir prevention baisser reduire manger")},
		{Causes, set("cause causes pourquoi attrape contagieux contagion transmet raison facteurs")},
		{Symptoms, set("symptome symptomes signe signes reconnaitre manifeste")},
	},
	"ar": {
		{RedFlags, set("خطير خطر طواري اسعاف مميت")},
		{SeekCare, set("طبيب الطبيب دكتور مستشفى اقلق")},
		{SelfCare, set("علاج العلاج علاجه اعالج اخفف تخفيف وقايه الوقايه اتجنب نداوي دواء")},
		{Causes, set("سبب اسباب الاسباب لماذا علاش ليش ليه معدي عدوي ينتقل")},
		{Symptoms, set("اعراض الاعراض علامات اعراضه")},
	},
}

// FacetOf tells what a question asks for; What when it doesn't say.
func FacetOf(language, question string) Facet {
	for _, w := range Words(language, question) {
		for _, f := range facets[language] {
			if f.words[w] {
				return f.facet
			}
		}
	}
	return What
}
