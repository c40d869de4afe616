package consult

import (
	"reflect"
	"testing"
	"time"
)

func TestQualitySummaryAdds(t *testing.T) {
	var q QualitySummary
	q.Add(QualitySummary{})
	first := QualitySummary{Seconds: 10, Score: 90, Worst: 80, Levels: map[string]int{"excellent": 10}, RTT: 40 * time.Millisecond, DownLoss: 0.1, DownBitrate: 100}
	q.Add(first)
	q.Add(QualitySummary{Seconds: 30, Score: 50, Worst: 20, Levels: map[string]int{"excellent": 10, "bad": 20}, RTT: 80 * time.Millisecond, DownBitrate: 300, LeastEstimate: 5})
	want := QualitySummary{
		Seconds: 40, Score: 60, Worst: 20, Levels: map[string]int{"excellent": 20, "bad": 20}, RTT: 70 * time.Millisecond,
		DownLoss: 0.025, DownBitrate: 250, LeastEstimate: 5,
	}
	if !reflect.DeepEqual(q, want) {
		t.Errorf("got %+v\nwant %+v", q, want)
	}
	if first.Levels["bad"] != 0 {
		t.Error("what was added has changed")
	}
}
