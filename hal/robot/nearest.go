package robot

// Nearest returns the name with the fewest insertions, deletions and replacements of bytes from name, the first of several; "" without
// names. Errors suggest it.
func Nearest(name string, names []string) string {
	nearest, fewest := "", -1
	for _, n := range names {
		if d := distance(name, n); fewest < 0 || d < fewest {
			nearest, fewest = n, d
		}
	}
	return nearest
}

// distance returns the number of bytes to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // The distances of the beginnings of b from the beginning of a so far.
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
