package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func baselineSuite() (s *suite, ours, theirs *checkout) {
	ours, theirs = &checkout{dir: "ours"}, &checkout{dir: "theirs"}
	return &suite{
		runs: 2, progress: func(string, ...any) {}, report: &report{},
		checkout: ours, baseline: &baseline{theirs, "1f0d703de7ab4a34b8d65a5e4e4b9bb45a4f6d6d"},
	}, ours, theirs
}

func TestBothSides_ratioToBaseline(t *testing.T) {
	s, ours, _ := baselineSuite()
	var order []string
	run := func(c *checkout) (outcome, error) {
		order = append(order, c.dir)
		tests := int64(3)
		if c == ours {
			return outcome{Time: time.Second, Tests: &tests}, nil
		}
		tests = 5
		return outcome{Time: 4 * time.Second, Tests: &tests}, nil
	}
	if err := s.bothSides("no-op build", 2, run); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "theirs ours theirs ours" {
		t.Errorf("order %s, want both sides in turns", got)
	}
	var out strings.Builder
	if err := s.report.table().Write(&out, false); err != nil {
		t.Fatal(err)
	}
	want := `operation    tool                   time             read  written  to registry  from registry  tests run
no-op build  krabby at 1f0d703      4.000 s          -     -        -            -              5
             krabby, this checkout  1.000 s (0.25x)  -     -        -            -              3
`
	if out.String() != want {
		t.Errorf("report:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestBothSides_failure(t *testing.T) {
	s, _, theirs := baselineSuite()
	err := s.bothSides("no-op build", 1, func(c *checkout) (outcome, error) {
		if c == theirs {
			return outcome{}, errors.New("no space")
		}
		return outcome{}, nil
	})
	if err == nil || err.Error() != "no-op build: krabby at 1f0d703: no space" || len(s.report.Rows) != 0 {
		t.Errorf("error %v and %d rows, want the operation, the side and the cause, and no row", err, len(s.report.Rows))
	}
}

func TestAgainstBaseline_none(t *testing.T) {
	s, _, _ := baselineSuite()
	s.baseline = nil
	if err := s.againstBaseline(t.Context()); err != nil || len(s.report.Rows) != 0 {
		t.Errorf("error %v and %d rows, want none", err, len(s.report.Rows))
	}
}
