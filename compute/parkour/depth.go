package parkour

import (
	"errors"
	"fmt"
	"math"

	"krabby.dev/krabby/hal/message"
)

// Sizes of the depth image, in pixels: as the camera takes it, cropped, and as the encoder takes it. Cropping removes 4
// columns on each side and the last 2 rows.
const (
	cameraHeight, cameraWidth = 60, 106
	cropLeft, cropWidth       = 4, 98
	depthHeight, depthWidth   = 58, 87
	maxDepthM                 = 2.0

	// scanLatentSize is the number of values that the encoder outputs in place of the scan's latent.
	scanLatentSize = 32
)

var errNoDepthImage = errors.New("depth image not found in the observation: use a robot or simulator with a depth camera")

// depthPreprocessor converts a depth image to the encoder's input: it clips the depth to 0 to 2 m, crops the image,
// resamples it to 87 columns, and scales the depth to -0.5 to 0.5. The resampling is bicubic and antialiased, as in
// torchvision.
type depthPreprocessor struct {
	first   [depthWidth]int // First column of the cropped image that counts.
	weights [depthWidth][]float64
}

func newDepthPreprocessor() *depthPreprocessor {
	p := &depthPreprocessor{}
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

// cubic is the kernel of bicubic interpolation with a = -0.5 (Keys, 1981).
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

// process writes the encoder's input, 58x87 values, to dst. From an image larger than 60x106 it takes the nearest pixels; a
// smaller one is an error. NaN, a depth that the camera could not measure, counts as 2 m.
func (p *depthPreprocessor) process(dst []float32, image *message.ScalarImage) error {
	if image.Height < cameraHeight || image.Width < cameraWidth {
		return fmt.Errorf("depth image: found %dx%d pixels, expected %dx%d or more", image.Height, image.Width, cameraHeight, cameraWidth)
	}
	var cropped [cropWidth]float64
	for row := range depthHeight {
		pixels := image.Values[nearestPixel(row, cameraHeight, image.Height)*image.Width:]
		for i := range cropped {
			depthM := float64(pixels[nearestPixel(i+cropLeft, cameraWidth, image.Width)])
			if math.IsNaN(depthM) {
				depthM = maxDepthM
			}
			cropped[i] = min(max(depthM, 0), maxDepthM)
		}
		for i, weights := range p.weights {
			sum := 0.0
			for j, w := range weights {
				sum += w * cropped[p.first[i]+j]
			}
			dst[row*depthWidth+i] = float32(sum/maxDepthM - 0.5)
		}
	}
	return nil
}

// nearestPixel returns the index, in a row or column of size pixels, of the pixel at the centre of pixel i of a coarser
// row or column.
func nearestPixel(i, coarse, size int) int { return (2*i + 1) * size / (2 * coarse) }
