package compare

import (
	"math"
	"slices"
)

// none is the value of what could not be measured, or makes no sense.
var none = math.NaN()

func isNone(v float64) bool { return math.IsNaN(v) }

// quantile is the value below which a share of the list lies; none of an empty
// list.
func quantile(list []float64, share float64) float64 {
	if len(list) == 0 {
		return none
	}
	list = slices.Sorted(slices.Values(list))
	return list[min(len(list)-1, int(share*float64(len(list))))]
}

// median is the middle of what was measured, or the mean of the two in the
// middle.
func median(list []float64) float64 {
	list = measured(list)
	if len(list) == 0 {
		return none
	}
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// measured leaves out what was not.
func measured(list []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(list), isNone)
}

// ratio is the median of the ratios of each round: the speed of a machine
// changes from one round to the next, and less within one.
func ratio(of, to []float64) float64 {
	var list []float64
	for i := range min(len(of), len(to)) {
		list = append(list, of[i]/to[i])
	}
	return median(list)
}
