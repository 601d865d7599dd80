package onnx

import (
	"errors"
	"testing"
)

func TestReason(t *testing.T) {
	for in, want := range map[string]string{
		"Load failed: /src/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, const Map<Path, int (*)(int)>&) Unsupported model IR version: 20": "Load failed: Unsupported model IR version: 20",
		"/src/a.h:46 void ns::Check(const std::string&) const\n The opset (9) is new.":                                                                        "The opset (9) is new.",
		"/src/a.cc:1 auto ns::f::operator()(int) const failed (twice)":                                                                                        "failed (twice)",
		"Fatal error: com.x:Foo(-1) is not a registered function/op":                                                                                          "Fatal error: com.x:Foo(-1) is not a registered function/op",
		"/src/a.cc:1 no signature": "no signature",
	} {
		if got := reason(errors.New(in)).Error(); got != want {
			t.Errorf("reason(%q) = %q, want %q", in, got, want)
		}
	}
}
