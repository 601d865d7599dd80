package endpoint_test

import (
	"testing"

	"krabby.dev/krabby/cmd/internal/endpoint"
)

func TestFlagsControlEndpoint(t *testing.T) {
	for _, tt := range []struct{ observations, control, want string }{
		{"tcp://127.0.0.1:6001", "", "tcp://127.0.0.1:6003"},
		{"tcp://192.0.2.1:7001", "", "tcp://192.0.2.1:6003"},
		{"tcp://[2001:db8::1]:6001", "", "tcp://[2001:db8::1]:6003"},
		{"tcp://robot.example:6001", "", "tcp://robot.example:6003"},
		{"tcp://192.0.2.1:7001", "tcp://127.0.0.1:9", "tcp://127.0.0.1:9"},
	} {
		f := endpoint.Flags{Observations: tt.observations, Control: tt.control}
		if got := f.ControlEndpoint(); got != tt.want {
			t.Errorf("%s, %q: %s, want %s", tt.observations, tt.control, got, tt.want)
		}
	}
}
