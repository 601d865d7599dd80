package robot

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestByName(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			r, err := ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			if r.Name != name {
				t.Errorf("ByName(%q).Name = %q", name, r.Name)
			}
			n := len(r.Joints)
			if len(r.DefaultPoseRad) != n || len(r.Kp) != n || len(r.Kd) != n {
				t.Fatalf("%d joints, %d default positions, %d kp, %d kd", n, len(r.DefaultPoseRad), len(r.Kp), len(r.Kd))
			}
			if n > MaxJoints || len(r.Feet) > MaxFeet {
				t.Errorf("%d joints and %d feet: want at most %d and %d", n, len(r.Feet), MaxJoints, MaxFeet)
			}
			seen := map[string]bool{}
			for i, j := range r.Joints {
				if seen[j.Name] {
					t.Errorf("duplicate joint %q", j.Name)
				}
				seen[j.Name] = true
				if !j.Contains(r.DefaultPoseRad[i]) {
					t.Errorf("%s: default pose %v rad is outside [%v, %v]", j.Name, r.DefaultPoseRad[i], j.LowerRad, j.UpperRad)
				}
				if j.VelocityLimitRadPerSec <= 0 || j.EffortLimitNm <= 0 || r.Kp[i] <= 0 || r.Kd[i] <= 0 {
					t.Errorf("%s: limits %+v, kp %v, kd %v; want positive values", j.Name, j, r.Kp[i], r.Kd[i])
				}
			}
		})
	}
}

func TestGo1(t *testing.T) {
	r := Go1()
	wantNames := []string{
		"FR_hip_joint", "FR_thigh_joint", "FR_calf_joint", "FL_hip_joint", "FL_thigh_joint", "FL_calf_joint",
		"RR_hip_joint", "RR_thigh_joint", "RR_calf_joint", "RL_hip_joint", "RL_thigh_joint", "RL_calf_joint",
	}
	if got := r.JointNames(); !slices.Equal(got, wantNames) {
		t.Errorf("joints = %v, want %v", got, wantNames)
	}
	wantPose := []float64{0.1, 0.9, -1.8, -0.1, 0.9, -1.8, 0.1, 0.9, -1.8, -0.1, 0.9, -1.8}
	if !slices.Equal(r.DefaultPoseRad, wantPose) {
		t.Errorf("default pose = %v, want %v", r.DefaultPoseRad, wantPose)
	}
}

func TestGo2(t *testing.T) {
	r := Go2()
	wantNames := []string{
		"FL_hip_joint", "FL_thigh_joint", "FL_calf_joint", "FR_hip_joint", "FR_thigh_joint", "FR_calf_joint",
		"RL_hip_joint", "RL_thigh_joint", "RL_calf_joint", "RR_hip_joint", "RR_thigh_joint", "RR_calf_joint",
	}
	if got := r.JointNames(); !slices.Equal(got, wantNames) {
		t.Errorf("joints = %v, want %v", got, wantNames)
	}
	wantPose := []float64{0.1, 0.8, -1.5, -0.1, 0.8, -1.5, 0.1, 1, -1.5, -0.1, 1, -1.5}
	if !slices.Equal(r.DefaultPoseRad, wantPose) {
		t.Errorf("default pose = %v, want %v", r.DefaultPoseRad, wantPose)
	}
	if front, rear := r.Joints[4].UpperRad, r.Joints[7].UpperRad; front != 3.4907 || rear != 4.5379 {
		t.Errorf("upper limits of the thighs = %v front, %v rear; want 3.4907 and 4.5379", front, rear)
	}
}

func TestHex(t *testing.T) {
	want := []string{
		"FL_hip_yaw", "FL_hip_pitch", "FL_knee", "FR_hip_yaw", "FR_hip_pitch", "FR_knee",
		"ML_hip_yaw", "ML_hip_pitch", "ML_knee", "MR_hip_yaw", "MR_hip_pitch", "MR_knee",
		"RL_hip_yaw", "RL_hip_pitch", "RL_knee", "RR_hip_yaw", "RR_hip_pitch", "RR_knee",
	}
	if got := Hex().JointNames(); !slices.Equal(got, want) {
		t.Errorf("joints = %v, want %v", got, want)
	}
}

func TestGo1_returnsCopy(t *testing.T) {
	Go1().Joints[0].UpperRad = 99
	if got := Go1().Joints[0].UpperRad; got != 0.863 {
		t.Errorf("upper limit after a change of another copy = %v, want 0.863", got)
	}
}

func TestByName_unknown(t *testing.T) {
	_, err := ByName("spot")
	if err == nil || !strings.Contains(err.Error(), `"spot"`) || !strings.Contains(err.Error(), "go1") {
		t.Errorf("ByName(spot) = %v, want an error with spot and go1", err)
	}
}

func TestJoint_ClampContains(t *testing.T) {
	j := Joint{LowerRad: -1, UpperRad: 2}
	for _, tt := range []struct {
		in, clamped float64
		contained   bool
	}{
		{0, 0, true}, {-1, -1, true}, {2, 2, true}, {-1.5, -1, false}, {3, 2, false},
		{math.Inf(1), 2, false}, {math.Inf(-1), -1, false},
	} {
		if got := j.Clamp(tt.in); got != tt.clamped {
			t.Errorf("Clamp(%v) = %v, want %v", tt.in, got, tt.clamped)
		}
		if got := j.Contains(tt.in); got != tt.contained {
			t.Errorf("Contains(%v) = %v, want %v", tt.in, got, tt.contained)
		}
	}
	if !math.IsNaN(j.Clamp(math.NaN())) || j.Contains(math.NaN()) {
		t.Errorf("Clamp(NaN) = %v, Contains(NaN) = %v; want NaN, false", j.Clamp(math.NaN()), j.Contains(math.NaN()))
	}
}
