package parkour

import (
	"fmt"
	"math"

	"krabby.dev/krabby/hal/message"
)

// The depth image: as the camera has it, without its border, and as the encoder wants it.
const (
	cameraHeight, cameraWidth = 60, 106
	cropLeft, cropWidth       = 4, 98 // 4 columns go on each side, and the last 2 rows.
	depthHeight, depthWidth   = 58, 87
	depthFarM                 = 2.0
	scanLatent                = 32
)

// preparation makes an image what the encoder was trained on: clipped to 0 to 2 m, without its border, resampled to 87
// columns, and from -0.5 to 0.5. The resampling is bicubic and antialiased, as torchvision's.
type preparation struct {
	first   [depthWidth]int
	weights [depthWidth][]float64
}

func newPreparation() *preparation {
	p := &preparation{}
	const scale = float64(cropWidth) / depthWidth
	for i := range p.weights {
		center := scale * (float64(i) + 0.5)
		first := max(int(center-2*scale+0.5), 0)
		last := min(int(center+2*scale+0.5), cropWidth)
		p.first[i] = first
		sum := 0.0
		for j := first; j < last; j++ {
			w := cubic((float64(j) + 0.5 - center) / scale)
			p.weights[i] = append(p.weights[i], w)
			sum += w
		}
		for j := range p.weights[i] {
			p.weights[i][j] /= sum
		}
	}
	return p
}

// cubic is the kernel of bicubic interpolation with a = -0.5.
func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}

// prepare writes an image of 60x106 into dst; of a larger one it takes the nearest pixels. What could not be measured
// counts as far away.
func (p *preparation) prepare(dst []float32, image *message.ScalarImage) error {
	if image.Height < cameraHeight || image.Width < cameraWidth {
		return fmt.Errorf("parkour: depth image of %dx%d, expected %dx%d or more", image.Height, image.Width, cameraHeight, cameraWidth)
	}
	var line [cropWidth]float64
	for row := range depthHeight {
		from := image.Values[nearestPixel(row, cameraHeight, image.Height)*image.Width:]
		for i := range line {
			depth := float64(from[nearestPixel(i+cropLeft, cameraWidth, image.Width)])
			if math.IsNaN(depth) {
				depth = depthFarM
			}
			line[i] = min(max(depth, 0), depthFarM)
		}
		for i, weights := range p.weights {
			sum := 0.0
			for j, w := range weights {
				sum += w * line[p.first[i]+j]
			}
			dst[row*depthWidth+i] = float32(sum/depthFarM - 0.5)
		}
	}
	return nil
}

// nearestPixel returns the pixel of an image of size pixels at the middle of pixel i of a coarser one.
func nearestPixel(i, coarse, size int) int { return (2*i + 1) * size / (2 * coarse) }
