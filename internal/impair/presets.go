package impair

import "time"

// Preset is a link as people have it, both ways.
type Preset struct {
	Name string
	Up   Profile // from the client
	Down Profile // to the client
}

// Presets are the links of our tests, from good to bad. The figures are chosen,
// in the range that measurements of such links give, so that tests can name them.
func Presets() []Preset {
	const ms, kbit = time.Millisecond, 1000
	return []Preset{
		{Name: "unimpaired"},
		// A full radio channel: enough rate, much loss, delays that change fast.
		{
			Name: "hospital-wifi",
			Up:   Profile{Rate: 4000 * kbit, Queue: 100_000, Delay: 8 * ms, Jitter: 12 * ms, JitterTime: 30 * ms, Loss: 0.02, Burst: Burst{Enter: 0.004, Leave: 0.25, Loss: 0.8}},
			Down: Profile{Rate: 6000 * kbit, Queue: 150_000, Delay: 8 * ms, Jitter: 12 * ms, JitterTime: 30 * ms, Loss: 0.02, Burst: Burst{Enter: 0.004, Leave: 0.25, Loss: 0.8}},
		},
		// Geostationary: 36,000 km up and down again, and rain.
		{
			Name: "satellite",
			Up:   Profile{Rate: 1000 * kbit, Queue: 75_000, Delay: 290 * ms, Jitter: 8 * ms, JitterTime: 200 * ms, Loss: 0.002, Burst: Burst{Enter: 0.0005, Leave: 0.1, Loss: 0.7}},
			Down: Profile{Rate: 5000 * kbit, Queue: 300_000, Delay: 290 * ms, Jitter: 8 * ms, JitterTime: 200 * ms, Loss: 0.002, Burst: Burst{Enter: 0.0005, Leave: 0.1, Loss: 0.7}},
		},
		// LTE at speed: handovers hold everything for a second and a half.
		{
			Name: "commuter-train",
			Up:   Profile{Rate: 1000 * kbit, Queue: 150_000, Delay: 40 * ms, Jitter: 25 * ms, JitterTime: 300 * ms, Loss: 0.005, Burst: Burst{Enter: 0.001, Leave: 0.1, Loss: 0.7}, Outage: Outage{Every: 15 * time.Second, For: 1500 * ms, Hold: true}},
			Down: Profile{Rate: 3000 * kbit, Queue: 400_000, Delay: 40 * ms, Jitter: 25 * ms, JitterTime: 300 * ms, Loss: 0.005, Burst: Burst{Enter: 0.001, Leave: 0.1, Loss: 0.7}, Outage: Outage{Every: 15 * time.Second, For: 1500 * ms, Hold: true}},
		},
		// A long copper line: a thin uplink with a queue of a second before it.
		{
			Name: "bad-dsl-uplink",
			Up:   Profile{Rate: 256 * kbit, Queue: 32_000, Delay: 20 * ms, Jitter: 2 * ms, JitterTime: 50 * ms, Loss: 0.002},
			Down: Profile{Rate: 2000 * kbit, Queue: 64_000, Delay: 20 * ms, Jitter: 2 * ms, JitterTime: 50 * ms, Loss: 0.002},
		},
		// The edge of a UMTS cell.
		{
			Name: "rural-3g",
			Up:   Profile{Rate: 300 * kbit, Queue: 30_000, Delay: 75 * ms, Jitter: 25 * ms, JitterTime: 150 * ms, Loss: 0.01, Burst: Burst{Enter: 0.002, Leave: 0.15, Loss: 0.7}},
			Down: Profile{Rate: 600 * kbit, Queue: 60_000, Delay: 75 * ms, Jitter: 25 * ms, JitterTime: 150 * ms, Loss: 0.01, Burst: Burst{Enter: 0.002, Leave: 0.15, Loss: 0.7}},
		},
	}
}

// PresetNamed is the preset of that name.
func PresetNamed(name string) (Preset, bool) {
	for _, p := range Presets() {
		if p.Name == name {
			return p, true
		}
	}
	return Preset{}, false
}
