package places

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// cities are places of which the country is beyond doubt: capitals, and then
// what is hard — borders, enclaves, islands, territories, coasts and seas.
var cities = []struct {
	name     string
	lat, lng float64
	want     string // "" where there is no country
}{
	{"Paris", 48.8566, 2.3522, "FR"}, {"London", 51.5074, -0.1278, "GB"}, {"Berlin", 52.52, 13.405, "DE"},
	{"Madrid", 40.4168, -3.7038, "ES"}, {"Rome", 41.9028, 12.4964, "IT"}, {"Lisbon", 38.7223, -9.1393, "PT"},
	{"Dublin", 53.3498, -6.2603, "IE"}, {"Brussels", 50.8503, 4.3517, "BE"}, {"Amsterdam", 52.3676, 4.9041, "NL"},
	{"Luxembourg", 49.6116, 6.1319, "LU"}, {"Bern", 46.948, 7.4474, "CH"}, {"Vienna", 48.2082, 16.3738, "AT"},
	{"Prague", 50.0755, 14.4378, "CZ"}, {"Bratislava", 48.1486, 17.1077, "SK"}, {"Budapest", 47.4979, 19.0402, "HU"},
	{"Warsaw", 52.2297, 21.0122, "PL"}, {"Copenhagen", 55.6761, 12.5683, "DK"}, {"Stockholm", 59.3293, 18.0686, "SE"},
	{"Oslo", 59.9139, 10.7522, "NO"}, {"Helsinki", 60.1699, 24.9384, "FI"}, {"Tallinn", 59.437, 24.7536, "EE"},
	{"Riga", 56.9496, 24.1052, "LV"}, {"Vilnius", 54.6872, 25.2797, "LT"}, {"Minsk", 53.9006, 27.559, "BY"},
	{"Kyiv", 50.4501, 30.5234, "UA"}, {"Moscow", 55.7558, 37.6173, "RU"}, {"Chisinau", 47.0105, 28.8638, "MD"},
	{"Bucharest", 44.4268, 26.1025, "RO"}, {"Sofia", 42.6977, 23.3219, "BG"}, {"Athens", 37.9838, 23.7275, "GR"},
	{"Belgrade", 44.7866, 20.4489, "RS"}, {"Zagreb", 45.815, 15.9819, "HR"}, {"Ljubljana", 46.0569, 14.5058, "SI"},
	{"Sarajevo", 43.8563, 18.4131, "BA"}, {"Skopje", 41.9973, 21.428, "MK"}, {"Tirana", 41.3275, 19.8187, "AL"},
	{"Podgorica", 42.4304, 19.2594, "ME"}, {"Pristina", 42.6629, 21.1655, "XK"}, {"Valletta", 35.8989, 14.5146, "MT"},
	{"Reykjavik", 64.1466, -21.9426, "IS"}, {"Nicosia, south", 35.1560, 33.3700, "CY"}, {"Ankara", 39.9334, 32.8597, "TR"},
	{"Istanbul, Asia", 40.9923, 29.0275, "TR"}, {"Tbilisi", 41.7151, 44.8271, "GE"}, {"Yerevan", 40.1872, 44.5152, "AM"},
	{"Baku", 40.4093, 49.8671, "AZ"}, {"Nakhchivan", 39.2089, 45.4122, "AZ"}, {"Kaliningrad", 54.7104, 20.4522, "RU"},

	{"Rabat", 34.0209, -6.8416, "MA"}, {"Casablanca", 33.5731, -7.5898, "MA"}, {"Algiers", 36.7538, 3.0588, "DZ"},
	{"Tunis", 36.8065, 10.1815, "TN"}, {"Tripoli", 32.8872, 13.1913, "LY"}, {"Cairo", 30.0444, 31.2357, "EG"},
	{"Khartoum", 15.5007, 32.5599, "SD"}, {"Nouakchott", 18.0735, -15.9582, "MR"}, {"Riyadh", 24.7136, 46.6753, "SA"},
	{"Jeddah", 21.4858, 39.1925, "SA"}, {"Dubai", 25.2048, 55.2708, "AE"}, {"Doha", 25.2854, 51.531, "QA"},
	{"Manama", 26.2285, 50.586, "BH"}, {"Kuwait", 29.3759, 47.9774, "KW"}, {"Muscat", 23.588, 58.3829, "OM"},
	{"Musandam", 26.18, 56.25, "OM"}, {"Sanaa", 15.3694, 44.191, "YE"}, {"Amman", 31.9454, 35.9284, "JO"},
	{"Beirut", 33.8938, 35.5018, "LB"}, {"Damascus", 33.5138, 36.2765, "SY"}, {"Baghdad", 33.3152, 44.3661, "IQ"},
	{"Erbil", 36.1911, 44.0092, "IQ"}, {"Tehran", 35.6892, 51.389, "IR"}, {"Tel Aviv", 32.0853, 34.7818, "IL"},
	{"Gaza", 31.5, 34.47, "PS"}, {"Ramallah", 31.9038, 35.2034, "PS"}, {"Laayoune", 27.1253, -13.1625, "EH"},

	{"Dakar", 14.7167, -17.4677, "SN"}, {"Banjul", 13.4549, -16.579, "GM"}, {"Bamako", 12.6392, -8.0029, "ML"},
	{"Abidjan", 5.36, -4.0083, "CI"}, {"Accra", 5.6037, -0.187, "GH"}, {"Lagos", 6.5244, 3.3792, "NG"},
	{"Douala", 4.0511, 9.7679, "CM"}, {"Kinshasa", -4.3650, 15.3100, "CD"}, {"Brazzaville", -4.2500, 15.2500, "CG"},
	{"Luanda", -8.839, 13.2894, "AO"}, {"Cabinda", -5.55, 12.2, "AO"}, {"Nairobi", -1.2921, 36.8219, "KE"},
	{"Kampala", 0.3476, 32.5825, "UG"}, {"Kigali", -1.9441, 30.0619, "RW"}, {"Addis Ababa", 9.03, 38.74, "ET"},
	{"Djibouti", 11.5721, 43.1456, "DJ"}, {"Mogadishu", 2.0469, 45.3182, "SO"}, {"Maseru", -29.31, 27.48, "LS"},
	{"Mbabane", -26.3054, 31.1367, "SZ"}, {"Pretoria", -25.7479, 28.2293, "ZA"}, {"Cape Town", -33.9249, 18.4241, "ZA"},
	{"Antananarivo", -18.8792, 47.5079, "MG"}, {"Port Louis", -20.1609, 57.5012, "MU"}, {"Juba", 4.8594, 31.5713, "SS"},

	{"New York", 40.7128, -74.006, "US"}, {"Toronto", 43.6532, -79.3832, "CA"}, {"Detroit", 42.3314, -83.0458, "US"},
	{"Windsor", 42.3000, -83.0300, "CA"}, {"Niagara Falls, Ontario", 43.0896, -79.0849, "CA"}, {"Niagara Falls, New York", 43.0945, -79.0500, "US"},
	{"Tijuana", 32.5149, -117.0382, "MX"}, {"San Ysidro", 32.5550, -117.0450, "US"}, {"Honolulu", 21.3069, -157.8583, "US"},
	{"Anchorage", 61.2181, -149.9003, "US"}, {"San Juan", 18.4655, -66.1057, "PR"}, {"Havana", 23.1136, -82.3666, "CU"},
	{"Port-au-Prince", 18.5944, -72.3074, "HT"}, {"Santo Domingo", 18.4861, -69.9312, "DO"}, {"Bogotá", 4.711, -74.0721, "CO"},
	{"Lima", -12.0464, -77.0428, "PE"}, {"La Paz", -16.4897, -68.1193, "BO"}, {"Santiago", -33.4489, -70.6693, "CL"},
	{"Buenos Aires", -34.6037, -58.3816, "AR"}, {"Montevideo", -34.9011, -56.1645, "UY"}, {"Ciudad del Este", -25.5097, -54.6111, "PY"},
	{"Foz do Iguaçu", -25.5163, -54.5854, "BR"}, {"São Paulo", -23.5505, -46.6333, "BR"}, {"Galápagos", -0.7402, -90.3138, "EC"},

	{"Delhi", 28.6139, 77.209, "IN"}, {"Karachi", 24.8607, 67.0011, "PK"}, {"Kabul", 34.5553, 69.2075, "AF"},
	{"Dhaka", 23.8103, 90.4125, "BD"}, {"Colombo", 6.9271, 79.8612, "LK"}, {"Kathmandu", 27.7172, 85.324, "NP"},
	{"Beijing", 39.9042, 116.4074, "CN"}, {"Shenzhen", 22.5431, 114.0579, "CN"}, {"Hong Kong", 22.3193, 114.1694, "HK"},
	{"Macao", 22.1987, 113.5439, "MO"}, {"Taipei", 25.033, 121.5654, "TW"}, {"Seoul", 37.5665, 126.978, "KR"},
	{"Pyongyang", 39.0392, 125.7625, "KP"}, {"Tokyo", 35.6762, 139.6503, "JP"}, {"Singapore", 1.3521, 103.8198, "SG"},
	{"Johor Bahru", 1.4927, 103.7414, "MY"}, {"Kuala Lumpur", 3.139, 101.6869, "MY"}, {"Bangkok", 13.7563, 100.5018, "TH"},
	{"Vientiane", 17.9757, 102.6331, "LA"}, {"Hanoi", 21.0278, 105.8342, "VN"}, {"Manila", 14.5995, 120.9842, "PH"},
	{"Jakarta", -6.2088, 106.8456, "ID"}, {"Dili", -8.5569, 125.5603, "TL"}, {"Almaty", 43.222, 76.8512, "KZ"},

	{"Sydney", -33.8688, 151.2093, "AU"}, {"Hobart", -42.8821, 147.3272, "AU"}, {"Auckland", -36.8485, 174.7633, "NZ"},
	{"Chatham Islands", -43.95, -176.55, "NZ"}, {"Port Moresby", -9.4438, 147.1803, "PG"}, {"Jayapura", -2.5337, 140.7181, "ID"},

	// Territories answer with their own code.
	{"Réunion", -20.8789, 55.4481, "RE"}, {"Guadeloupe", 16.2411, -61.5331, "GP"}, {"Martinique", 14.6161, -61.0588, "MQ"},
	{"Cayenne", 4.9224, -52.3135, "GF"}, {"Mayotte", -12.7806, 45.2278, "YT"}, {"Nouméa", -22.2758, 166.458, "NC"},
	{"Papeete", -17.5516, -149.5585, "PF"}, {"Mata-Utu", -13.2825, -176.1745, "WF"}, {"Marigot", 18.07, -63.085, "MF"},
	{"Philipsburg", 18.0237, -63.0458, "SX"}, {"Saint Pierre", 46.7811, -56.1764, "PM"}, {"Gibraltar", 36.1408, -5.3536, "GI"},
	{"Jersey", 49.1868, -2.1066, "JE"}, {"Alderney", 49.714, -2.205, "GG"}, {"Douglas", 54.1523, -4.4861, "IM"},
	{"Tórshavn", 62.0079, -6.7903, "FO"}, {"Nuuk", 64.1814, -51.6941, "GL"}, {"Longyearbyen", 78.2232, 15.6267, "SJ"},
	{"Mariehamn", 60.0973, 19.9348, "AX"}, {"Kralendijk", 12.1443, -68.2655, "BQ"}, {"Willemstad", 12.1091, -68.9316, "CW"},
	{"Guam", 13.4745, 144.7504, "GU"}, {"Pago Pago", -14.2756, -170.702, "AS"}, {"Hamilton", 32.2949, -64.7814, "BM"},
	{"Ascension", -7.93, -14.41, "SH"}, {"Stanley", -51.6977, -57.8517, "FK"},

	// Parts of a country that are far from it.
	{"Ceuta", 35.8894, -5.3213, "ES"}, {"Melilla", 35.2923, -2.9381, "ES"}, {"Las Palmas", 28.1235, -15.4363, "ES"},
	{"Funchal", 32.6669, -16.9241, "PT"}, {"Ponta Delgada", 37.7394, -25.6687, "PT"}, {"Crete", 35.3387, 25.1442, "GR"},
	{"Kastellorizo", 36.1489, 29.5917, "GR"}, {"Bornholm", 55.1037, 14.7065, "DK"}, {"Menton", 43.7745, 7.4975, "FR"},
	{"Büsingen", 47.6969, 8.6903, "DE"}, {"Campione", 45.9694, 8.9711, "IT"}, {"Llívia", 42.4640, 1.9811, "ES"},

	// Small states and enclaves.
	{"Vatican", 41.9029, 12.4534, "VA"}, {"San Marino", 43.9424, 12.4578, "SM"}, {"Monaco", 43.7384, 7.4246, "MC"},
	{"Vaduz", 47.141, 9.5209, "LI"}, {"Andorra", 42.5063, 1.5218, "AD"},

	// Both sides of borders that go through towns.
	{"Strasbourg", 48.5734, 7.7521, "FR"}, {"Kehl", 48.5725, 7.8150, "DE"}, {"Geneva", 46.2044, 6.1432, "CH"},
	{"Annemasse", 46.1934, 6.2342, "FR"}, {"Basel", 47.5596, 7.5886, "CH"}, {"Lörrach", 47.6156, 7.6614, "DE"},
	{"Narva", 59.3772, 28.1903, "EE"}, {"Ivangorod", 59.3728, 28.2250, "RU"}, {"Tornio", 65.8540, 24.1900, "FI"},
	{"Haparanda", 65.8355, 24.1368, "SE"}, {"Gorizia", 45.9402, 13.6202, "IT"}, {"Nova Gorica", 45.9560, 13.6484, "SI"},

	// Disputed areas: who answers the telephone.
	{"Simferopol", 44.9521, 34.1024, "XC"}, {"Kyrenia", 35.3364, 33.3182, "XN"}, {"Akrotiri", 34.59, 32.97, "CY"},
	{"Bir Tawil", 21.87, 33.74, "XB"}, {"Tifariti", 26.16, -10.57, "EH"}, {"Tan-Tan", 28.438, -11.103, "MA"},

	// The antimeridian and the poles.
	{"Suva", -18.1416, 178.4419, "FJ"}, {"Taveuni, on the antimeridian", -16.85, 179.99, "FJ"}, {"Taveuni, east", -16.85, -179.98, "FJ"},
	{"Wrangel Island, at 180", 71.2, 180, "RU"}, {"Wrangel Island, at -180", 71.2, -180, "RU"}, {"Anadyr", 64.7337, 177.5089, "RU"},
	{"Provideniya", 64.4235, -173.2258, "RU"}, {"Attu", 52.9, 172.9, "US"}, {"South Pole", -90, 0, "AQ"}, {"McMurdo", -77.85, 166.67, "AQ"},
	{"North Pole", 90, 0, ""}, {"North Pole, other side", 90, 180, ""},

	// The sea: near a coast, and far from any.
	{"off Nice", 43.60, 7.30, "FR"}, {"off Casablanca", 33.62, -7.75, "MA"}, {"Gulf of Guinea", 0, 0, ""},
	{"mid Atlantic", 35, -45, ""}, {"Point Nemo", -48.8767, -123.3933, ""}, {"Indian Ocean", -30, 80, ""},
}

func TestAtCities(t *testing.T) {
	t.Parallel()
	if len(cities) < 150 {
		t.Errorf("%d cities", len(cities))
	}
	for _, c := range cities {
		got, ok, err := At(c.lat, c.lng)
		if err != nil || got != c.want || ok != (c.want != "") {
			t.Errorf("%s: got %q, %v, %v, want %q", c.name, got, ok, err, c.want)
		}
	}
}

func TestCoordinates(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		lat, lng float64
		field    string
	}{
		{nan, 0, "lat"}, {0, nan, "lng"}, {inf, 0, "lat"}, {-inf, 0, "lat"}, {0, inf, "lng"}, {0, -inf, "lng"},
		{90.0001, 0, "lat"}, {-90.0001, 0, "lat"}, {0, 180.0001, "lng"}, {0, -180.0001, "lng"}, {nan, nan, "lat"},
	} {
		var wrong *CoordinateError
		if _, _, err := At(c.lat, c.lng); !errors.As(err, &wrong) || wrong.Field != c.field {
			t.Errorf("At(%v, %v): %v, want an error of %s", c.lat, c.lng, err, c.field)
		}
	}
	for _, c := range [][2]float64{{90, 180}, {-90, -180}, {0, 0}, {math.Copysign(0, -1), math.Copysign(0, -1)}} {
		if _, _, err := At(c[0], c[1]); err != nil {
			t.Errorf("At(%v): %v", c, err)
		}
	}
}

// A place and the same place one turn further are one.
func TestAntimeridianIsNoBorder(t *testing.T) {
	t.Parallel()
	for lat := -90.0; lat <= 90; lat += 0.25 {
		east, _, _ := At(lat, 180)
		west, _, _ := At(lat, -180)
		if east != west {
			t.Errorf("at %v: %q and %q", lat, east, west)
		}
	}
}

// Every shape's own corners are in its country, or in one that touches it, and
// none is in the open.
func TestCornersAreSomewhere(t *testing.T) {
	t.Parallel()
	a, err := world()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range a.shapes {
		for _, ring := range s.rings {
			for _, v := range ring {
				if code := a.at(float64(v.y)/quantum, float64(v.x)/quantum); code == "" {
					t.Fatalf("a corner of %s at %v is nowhere", s.code, v)
				}
			}
		}
	}
}

// The bounding boxes and the limits of the coastal search only save time: the
// answer is the one of looking at everything.
func TestNearestAgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	a, err := world()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	checked := 0
	for range 2500 {
		// Near a corner of some shape, where it matters.
		s := &a.shapes[rng.IntN(len(a.shapes))]
		v := s.rings[0][rng.IntN(len(s.rings[0]))]
		lat := min(90, max(-90, float64(v.y)/quantum+rng.NormFloat64()*0.3))
		lng := min(180, max(-180, float64(v.x)/quantum+rng.NormFloat64()*0.3))
		p := vertex{int32(math.Round(lng * quantum)), int32(math.Round(lat * quantum))}
		inside := ""
		for i := range a.shapes {
			if a.shapes[i].contains(p) {
				inside = a.shapes[i].code
				break
			}
		}
		if inside != "" {
			continue
		}
		checked++
		got, want := a.nearest(lat, lng), bruteNearest(a, lat, lng)
		if got != want {
			t.Errorf("at %v, %v: %q, want %q", lat, lng, got, want)
		}
	}
	if checked < 300 {
		t.Errorf("only %d places at sea", checked)
	}
}

func bruteNearest(a *atlas, lat, lng float64) string {
	shrink := math.Cos(lat * math.Pi / 180)
	best, code := coastKm/(earthRadiusKm*math.Pi/180)*quantum, ""
	for _, turn := range []float64{-1, 0, 1} {
		x, y := (lng+360*turn)*quantum, lat*quantum
		for _, s := range a.shapes {
			for _, ring := range s.rings {
				last := ring[len(ring)-1]
				for _, v := range ring {
					d := toSegment((float64(last.x)-x)*shrink, float64(last.y)-y, (float64(v.x)-x)*shrink, float64(v.y)-y)
					if d < best {
						best, code = d, s.code
					}
					last = v
				}
			}
		}
	}
	return code
}

func TestSovereign(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"RE": "FR", "NC": "FR", "FR": "FR", "HK": "CN", "PR": "US", "GL": "DK", "GG": "GB", "SJ": "NO",
		"XK": "XK", "XC": "XC", "XN": "XN", "PS": "PS", "TW": "TW", "EH": "EH", "ZZ": "",
	} {
		if got := Sovereign(code); got != want {
			t.Errorf("Sovereign(%s) = %q, want %q", code, got, want)
		}
	}
}

func TestDistanceKm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lat1, lng1, lat2, lng2, want float64 }{
		{48.8566, 2.3522, 51.5074, -0.1278, 343.6},          // Paris, London
		{0, 179.5, 0, -179.5, 111.2},                        // across the antimeridian
		{90, 0, -90, 0, math.Pi * earthRadiusKm},            // pole to pole
		{89.9, 0, 89.9, 180, 22.2}, {12.5, 99, 12.5, 99, 0}, // over the pole; nowhere
	} {
		if got := DistanceKm(c.lat1, c.lng1, c.lat2, c.lng2); math.Abs(got-c.want) > 0.1 {
			t.Errorf("from %v,%v to %v,%v: %.2f km, want %.1f", c.lat1, c.lng1, c.lat2, c.lng2, got, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, file := range map[string][]byte{
		"nothing":    nil,
		"not ours":   []byte("GIF89a"),
		"cut":        bordersFile[:len(bordersFile)/2],
		"no content": []byte(bordersMagic),
	} {
		if _, err := decodeBorders(file); !errors.Is(err, errBorders) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzAt(f *testing.F) {
	for _, c := range cities[:20] {
		f.Add(c.lat, c.lng)
	}
	f.Add(90.0, 180.0)
	f.Add(-90.0, -180.0)
	f.Add(math.NaN(), math.Inf(-1))
	f.Fuzz(func(t *testing.T, lat, lng float64) {
		code, ok, err := At(lat, lng)
		if (err == nil) != (Check(lat, lng) == nil) {
			t.Fatalf("error %v", err)
		}
		if ok != isCode(code) || err != nil && ok {
			t.Fatalf("%q, %v, %v", code, ok, err)
		}
	})
}

func FuzzDecodeBorders(f *testing.F) {
	f.Add(bordersFile)
	f.Add([]byte(bordersMagic))
	f.Add(pack([]byte{1, 'F', 'R', 'F', 'R', 1, 3, 0, 0, 2, 0, 0, 2}))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := decodeBorders(file)
		if err != nil {
			return
		}
		for i := range a.shapes {
			a.shapes[i].contains(vertex{})
		}
		_ = a.at(0, 0)
	})
}

var sink string

func BenchmarkAt(b *testing.B) {
	for _, c := range []struct {
		name     string
		lat, lng float64
	}{
		{"Paris", 48.8566, 2.3522}, {"Kehl", 48.5725, 7.8150}, {"Irkutsk", 52.2870, 104.3050}, {"MidAtlantic", 35, -45},
		{"OffNorway", 71.4, 21.5}, {"NorthPole", 90, 0}, {"OffChile", -50, -77},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink, _, _ = At(c.lat, c.lng)
			}
		})
	}
	b.Run("Cities", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			sink, _, _ = At(cities[i].lat, cities[i].lng)
			i = (i + 1) % len(cities)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeBorders(bordersFile); err != nil {
			b.Fatal(err)
		}
	}
}
