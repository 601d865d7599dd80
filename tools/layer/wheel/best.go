package wheel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Best returns the index of the wheel that pip and uv install out of several of one release, or -1 if no wheel fits the target. They
// prefer the most specific tag and, among wheels with equal tags, the highest build number.
func (t Target) Best(files []Filename) int {
	tags := t.tags()
	best, bestRank := -1, len(tags)
	for i, f := range files {
		rank := f.rank(tags)
		if rank < bestRank || best >= 0 && rank == bestRank && compareBuilds(f.Build, files[best].Build) > 0 {
			best, bestRank = i, rank
		}
	}
	return best
}

// rank returns the lowest index of a tag of the wheel, or len(tags) if it has none of them.
func (f Filename) rank(tags []string) int {
	rank := len(tags)
	for _, python := range f.Python {
		for _, abi := range f.ABI {
			for _, platform := range f.Platform {
				if i := slices.Index(tags, python+"-"+abi+"-"+platform); i >= 0 {
					rank = min(rank, i)
				}
			}
		}
	}
	return rank
}

// tags returns all tags that fit the target, the most specific first, in the order of PyPA's packaging.tags.
func (t Target) tags() []string {
	own := fmt.Sprintf("cp3%d", t.minor())
	compiled := []string{own + "-" + own, own + "-abi3", own + "-none"}
	for minor := t.minor() - 1; minor >= 2; minor-- {
		compiled = append(compiled, fmt.Sprintf("cp3%d-abi3", minor))
	}
	plain := []string{fmt.Sprintf("py3%d-none", t.minor()), "py3-none"}
	for minor := t.minor() - 1; minor >= 0; minor-- {
		plain = append(plain, fmt.Sprintf("py3%d-none", minor))
	}
	platforms := t.Platforms()
	platforms = platforms[:len(platforms)-1] // Without "any", which comes last for all interpreters.

	var tags []string
	for _, interpreter := range slices.Concat(compiled, plain) {
		for _, platform := range platforms {
			tags = append(tags, interpreter+"-"+platform)
		}
	}
	for _, interpreter := range append([]string{own + "-none"}, plain...) {
		tags = append(tags, interpreter+"-any")
	}
	return tags
}

// compareBuilds compares build tags by their number, then by the rest. No build tag is less than any.
func compareBuilds(a, b string) int {
	split := func(build string) (int, string) {
		rest := strings.TrimLeft(build, "0123456789")
		n, err := strconv.Atoi(build[:len(build)-len(rest)])
		if err != nil {
			n = -1
		}
		return n, rest
	}
	na, ra := split(a)
	nb, rb := split(b)
	if na != nb {
		return na - nb
	}
	return strings.Compare(ra, rb)
}
