package config

import "fmt"

// maxGuess is the longest word that a suggestion is looked for.
const maxGuess = 64

// didYouMean returns the sentence that suggests the known word nearest to
// what was written, with a space in front, or "".
func didYouMean(written string, known []string) string {
	if best := nearest(written, known); best != "" {
		return fmt.Sprintf(" Did you mean %s?", best)
	}
	return ""
}

// nearest returns the known word with the smallest distance to what was
// written, the first of several, or "" if none is near enough for a slip.
func nearest(written string, known []string) string {
	if len(written) > maxGuess {
		return ""
	}
	best, least := "", max(1, len(written)/3)+1
	for _, k := range known {
		if len(k) > maxGuess {
			continue
		}
		if d := distance(written, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbours cost one each.
func distance(a, b string) int {
	two, one := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one = one, row
	}
	return one[len(b)]
}
