package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/doctor/plot"
	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// report examines a robot with swinging joints whose observation has the joint velocities multiplied by factor.
func report(t *testing.T, factor float32) *doctor.Report {
	t.Helper()
	r := robot.Go1()
	p := policytest.Joystick(r)
	b, err := observation.New(p)
	if err != nil {
		t.Fatal(err)
	}
	rec := rollout.NewRecorder(r, p.Observation.Size, 12)
	input, action := make([]float32, p.Observation.Size), make([]float32, 12)
	for step := range 50 {
		o := message.NewObservation(r)
		o.MonotonicNs, o.BaseVelocityKnown = int64(step)*20_000_000, true
		for i := range o.VelocityRadPerSec {
			o.VelocityRadPerSec[i] = math.Sin(float64(step+i) / 3)
		}
		if err := b.Build(input, o, message.NavigationCommand{}, action); err != nil {
			t.Fatal(err)
		}
		for i := 21; i < 33; i++ {
			input[i] *= factor
		}
		rec.Step(o, message.NavigationCommand{}, input, action)
	}
	report, err := doctor.Examine(p, rec.Rollout(), doctor.Options{Noise: -1})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// draw returns the drawing of r and the texts in it.
func draw(t *testing.T, r *doctor.Report) (svg string, texts []string) {
	t.Helper()
	var b bytes.Buffer
	if err := plot.WriteSVG(&b, r); err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return b.String(), texts
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
}

func TestWriteSVG_largestResiduals(t *testing.T) {
	svg, texts := draw(t, report(t, 2))
	velocities := 0
	for _, text := range texts {
		if strings.HasPrefix(text, "joint velocity ") {
			velocities++
		}
		if strings.HasPrefix(text, "joint position ") {
			t.Errorf("drawing has %q, which agrees", text)
		}
	}
	for _, want := range []string{"recorded", "rebuilt", "corrected", "rad/s"} {
		if !slices.Contains(texts, want) {
			t.Errorf("no text %q in the drawing", want)
		}
	}
	if velocities != plot.MaxPanels || !strings.Contains(svg, "stroke-dasharray") {
		t.Errorf("%d panels of joint velocity, want %d with dashes", velocities, plot.MaxPanels)
	}
	if again, _ := draw(t, report(t, 2)); again != svg {
		t.Error("drawings of the same report differ")
	}
}

func TestWriteSVG_correct_oneOfEachQuantity(t *testing.T) {
	_, texts := draw(t, report(t, 1))
	for _, want := range []string{"base velocity x", "angular velocity x", "joint velocity FR_hip_joint"} {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.HasPrefix(text, want+": ") }) {
			t.Errorf("no panel of %s", want)
		}
	}
	if slices.Contains(texts, "corrected") {
		t.Error("drawing has a correction without a finding")
	}
}

func TestWriteSVG_writeError(t *testing.T) {
	if err := plot.WriteSVG(failingWriter{}, report(t, 2)); err == nil || !strings.Contains(err.Error(), "plot: writing") {
		t.Errorf("WriteSVG = %v, want an error", err)
	}
}

// failingWriter is a full disk.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
