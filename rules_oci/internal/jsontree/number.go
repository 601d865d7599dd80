package jsontree

import (
	"strconv"
	"strings"
)

// formatNumber returns the form of a number in jq 1.7, which is the to-scientific-string of General Decimal Arithmetic: all digits
// stay, and an exponent is used only if it is positive or the number is below 0.000001.
func formatNumber(literal string) string {
	unsigned, negative := strings.CutPrefix(literal, "-")
	mantissa, exponentText, _ := strings.Cut(strings.ToLower(unsigned), "e")
	exponent, err := strconv.Atoi(strings.TrimPrefix(exponentText, "+"))
	if err != nil && exponentText != "" {
		return literal // The exponent overflows.
	}
	integer, fraction, _ := strings.Cut(mantissa, ".")
	exponent -= len(fraction)
	digits := strings.TrimLeft(integer+fraction, "0")
	if digits == "" {
		digits = "0"
	}
	var text string
	switch scientific := exponent + len(digits) - 1; {
	case exponent > 0 || scientific < -6:
		text = digits[:1]
		if len(digits) > 1 {
			text += "." + digits[1:]
		}
		sign := "+"
		if scientific < 0 {
			sign = ""
		}
		text += "E" + sign + strconv.Itoa(scientific)
	case exponent == 0:
		text = digits
	default:
		digits = strings.Repeat("0", max(0, 1-exponent-len(digits))) + digits
		text = digits[:len(digits)+exponent] + "." + digits[len(digits)+exponent:]
	}
	if negative {
		return "-" + text
	}
	return text
}
