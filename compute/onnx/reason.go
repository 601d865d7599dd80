package onnx

import (
	"errors"
	"regexp"
	"strings"
)

// thrownAt is the place in the library's sources, which stands in front of a C++ signature and the reason.
var thrownAt = regexp.MustCompile(`\S+\.(cc|cpp|cu|h|hpp|cuh):\d+ `)

// reason returns err without the places and signatures in front of the library's reasons.
func reason(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for {
		place := thrownAt.FindStringIndex(text)
		if place == nil {
			return errors.New(text)
		}
		text = text[:place[0]] + withoutSignature(text[place[1]:])
	}
}

// withoutSignature removes a C++ signature from the beginning of text: everything up to the end of its parameters, and a const
// after them.
func withoutSignature(text string) string {
	depth := 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
			continue
		case ')':
			depth--
		default:
			continue
		}
		// After operator() the parameters follow.
		if rest := text[i+1:]; depth == 0 && !strings.HasPrefix(rest, "(") {
			return strings.TrimPrefix(strings.TrimLeft(rest, " "), "const ")
		}
	}
	return text
}
