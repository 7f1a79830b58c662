package compare

import "testing"

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 2, 9}, 3},
		{[]float64{none, 7, none}, 7},
	} {
		if got := median(c.list); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.list, got, c.want)
		}
	}
	if got := median([]float64{none}); !isNone(got) {
		t.Errorf("the median of nothing is %v", got)
	}
}

// The machine became half as fast after the first round; that is no news of
// either of the two.
func TestRatio(t *testing.T) {
	fast, slow := []float64{100, 50, 52}, []float64{20, 10, 10}
	if got := ratio(fast, slow); got != 5 {
		t.Errorf("got %v, want 5", got)
	}
	if got := ratio([]float64{none, 50, none}, []float64{20, 10, 10}); got != 5 {
		t.Errorf("of the one round in which both were measured: got %v, want 5", got)
	}
	if got := ratio(nil, slow); !isNone(got) {
		t.Errorf("the ratio of nothing is %v", got)
	}
}

func TestQuantile(t *testing.T) {
	var list []float64
	for i := range 200 {
		list = append(list, float64(199-i))
	}
	if got := quantile(list, 0.5); got != 100 {
		t.Errorf("the middle of 0 to 199 is %v", got)
	}
	if got := quantile(list, 0.99); got != 198 {
		t.Errorf("99 %% of 0 to 199 are below %v", got)
	}
	if list[0] != 199 {
		t.Error("the list itself was sorted")
	}
}
