package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/gameloop/walk"
	"krabby.dev/krabby/gameloop/walk/plot"
	"krabby.dev/krabby/hal/message"
)

// record is one second of a robot of two legs.
func record() *walk.Record {
	r := &walk.Record{
		Robot:   "go1",
		Joints:  []string{"FR_hip_joint", "FR_thigh_joint", "FR_calf_joint", "FL_hip_joint"},
		Feet:    []string{"FR", "FL"},
		Command: message.NavigationCommand{VxMps: 1},
	}
	for i := range 100 {
		wave := math.Sin(float64(i) / 5)
		r.Samples = append(r.Samples, walk.Sample{
			Time:        time.Duration(i+1) * 10 * time.Millisecond,
			VelocityMps: [3]float64{wave, 0, 0},
			PositionRad: []float64{wave, 0.9, -1.8, 7},
			TargetRad:   []float64{-wave, 0.9, -1.8, 7},
			Contacts:    []bool{wave > 0, wave < 0},
		})
	}
	return r
}

func draw(t *testing.T, r *walk.Record) string {
	t.Helper()
	var b bytes.Buffer
	if err := plot.WriteSVG(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteSVG_allPanels(t *testing.T) {
	svg := draw(t, record())
	decoder := xml.NewDecoder(strings.NewReader(svg))
	var texts []string
	paths := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "path" {
				paths++
			}
		case xml.CharData:
			texts = append(texts, string(token))
		}
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{
		"go1: velocity of the base", "forward, m/s", "left, m/s", "yaw, rad/s",
		"joints of the first leg", "FR_hip_joint", "FR_thigh_joint", "FR_calf_joint",
		"feet on the ground", "FR", "FL",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no text %q in the drawing", want)
		}
	}
	if strings.Contains(all, "FL_hip_joint") {
		t.Error("the second leg's joints are in the drawing")
	}
	if !strings.Contains(svg, "stroke-dasharray") || paths < 12 {
		t.Errorf("%d paths, want those of 6 velocities, 6 joints and the contacts, some of them dashed", paths)
	}
}

func TestWriteSVG_deterministic(t *testing.T) {
	first := draw(t, record())
	if draw(t, record()) != first {
		t.Error("two drawings of one record differ")
	}
	other := record()
	other.Samples[50].TargetRad[1] = 1
	if draw(t, other) == first {
		t.Error("another target gives the same drawing")
	}
	other = record()
	other.Samples[10].Contacts[1] = !other.Samples[10].Contacts[1]
	if draw(t, other) == first {
		t.Error("another contact gives the same drawing")
	}
}

func TestWriteSVG_failingWriter(t *testing.T) {
	if err := plot.WriteSVG(full{}, record()); err == nil || !strings.Contains(err.Error(), "plot: writing") {
		t.Errorf("WriteSVG = %v, want an error", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
