// Package importer makes a robot from its model: joints with their order, limits, default pose and gains from what MuJoCo compiles of an
// MJCF or URDF file, and from values of the caller for what the model does not say. Nothing is guessed: what is missing or ambiguous is an
// error, and a result says where each number is from.
//
// It must not import transport, servers, clients or inference.
package importer

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/robot"
)

// Options are the choices of the caller. Numbers take precedence over those of the model.
type Options struct {
	// Model is the path of the model, for errors.
	Model string
	// Name is the name of the robot; empty for that of the model.
	Name string
	// Keyframe is the name of the keyframe that is the default pose, or its number from 0; empty for the only one.
	Keyframe string
	// Feet are the names of the geoms of the feet, in the order of an observation's contacts. NoFeet says that there are none.
	Feet   []string
	NoFeet bool
	// Lower, Upper and Pose are in rad, Velocity in rad/s, Effort in N·m, Kp in N·m/rad, Kd in N·m·s/rad.
	Lower, Upper, Velocity, Effort, Pose, Kp, Kd Values
	// URDF has limits of velocity and effort; nil for none.
	URDF *URDF
}

// Result is an imported robot.
type Result struct {
	Robot *robot.Robot
	// Found has facts of the model, by topic.
	Found []Fact
	// Sources says where the numbers of each field are from.
	Sources []Fact
	// Notes are assumptions, and what the model has that the robot does not.
	Notes []string
}

// Fact is a text about a topic or a field.
type Fact struct{ Topic, Text string }

// importing is the state of an import.
type importing struct {
	*mujoco.Description
	o         Options
	names     []string
	actuators []*mujoco.DescribedActuator // Of each joint; nil for none.
	key       *mujoco.Keyframe
	result    *Result
	missing   []string
}

// Import makes a robot from the description of a model. The error is an [*Error] where the model is invalid or ambiguous; otherwise it
// names the flag that is missing or invalid.
func Import(d *mujoco.Description, o Options) (*Result, error) {
	m := &importing{Description: d, o: o, result: &Result{Robot: &robot.Robot{}}}
	for _, step := range []func() error{m.identify, m.checkJoints, m.assignActuators, m.chooseKeyframe, m.chooseFeet, m.checkValues, m.fill} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if _, err := m.result.Robot.Encode(); err != nil {
		return nil, &Error{o.Model, "", "the robot is not valid: " + err.Error()}
	}
	return m.result, nil
}

// wrong returns an error of an element of the model.
func (m *importing) wrong(element, problem string, args ...any) error {
	return &Error{m.o.Model, element, fmt.Sprintf(problem, args...)}
}

func (m *importing) found(topic, text string, args ...any) {
	m.result.Found = append(m.result.Found, Fact{topic, fmt.Sprintf(text, args...)})
}

func (m *importing) note(text string, args ...any) {
	m.result.Notes = append(m.result.Notes, fmt.Sprintf(text, args...))
}

var validName = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// identify names the robot and checks its base.
func (m *importing) identify() error {
	m.result.Robot.Name = m.o.Name
	if m.o.Name == "" {
		if !validName.MatchString(m.Name) {
			return fmt.Errorf("--name: missing: the name of the model, %q, is not one of 1 to 64 lower case letters, digits and _", m.Name)
		}
		m.result.Robot.Name = m.Name
	}
	if !validName.MatchString(m.result.Robot.Name) {
		return fmt.Errorf("--name: found %q, expected 1 to 64 lower case letters, digits and _", m.o.Name)
	}
	m.found("model", "%q, %d joints, %d actuators", m.Name, len(m.Joints), len(m.Actuators))
	switch n := len(m.FreeJoints); {
	case n > 1:
		return m.wrong("free joints", "found %d (%s), expected 1: a robot has one base; remove other bodies from the model", n, quoteAll(m.FreeJoints))
	case n == 0:
		m.note("the base is fixed: the model has no free joint, and walk requires one")
	}
	if !slices.ContainsFunc(m.Sites, mujoco.IsIMUSite) {
		m.note("the model has no site of the inertial unit (%s), and walk requires one", strings.Join(mujoco.IMUSites(), " or "))
	}
	return nil
}

// checkJoints checks names and types.
func (m *importing) checkJoints() error {
	if len(m.Joints) == 0 {
		return m.wrong("joints", "found none, expected 1 to %d hinge joints", robot.MaxJoints)
	}
	for i, j := range m.Joints {
		if j.Name == "" {
			return m.wrong(fmt.Sprintf("joint %d", i), "found no name, expected one: policies name the joints")
		}
		element := fmt.Sprintf("joint %q", j.Name)
		if j.Type != "hinge" {
			return m.wrong(element, "found a %s joint, expected a hinge: a robot has rotary joints", j.Type)
		}
		if m.o.URDF != nil {
			if u := m.o.URDF.Joint(j.Name); u != nil && u.Mimic != "" {
				return m.wrong(element, "it mimics %q, expected joints with motors of their own", u.Mimic)
			}
		}
		m.names = append(m.names, j.Name)
	}
	return nil
}

// assignActuators finds the actuator of each joint by name. A model without any actuator, such as URDF, has none to find.
func (m *importing) assignActuators() error {
	m.actuators = make([]*mujoco.DescribedActuator, len(m.Joints))
	var order []string
	servos := 0
	for i := range m.Actuators {
		a := &m.Actuators[i]
		element := fmt.Sprintf("actuator %q", a.Name)
		if a.Joint < 0 {
			return m.wrong(element, "found another transmission, expected a joint")
		}
		name := m.names[a.Joint]
		if other := m.actuators[a.Joint]; other != nil {
			return m.wrong(element, "found it at joint %q, which %q moves already, expected one actuator for each joint", name, other.Name)
		}
		if a.Gear == 0 {
			return m.wrong(element, "found gear 0, expected another number")
		}
		m.actuators[a.Joint] = a
		order = append(order, name)
		if a.Position {
			servos++
		}
	}
	if len(m.Actuators) == 0 {
		return nil
	}
	for i, a := range m.actuators {
		if a == nil {
			return m.wrong(fmt.Sprintf("joint %q", m.names[i]), "found no actuator, expected one for each joint")
		}
	}
	m.found("actuators", "%d position servos, %d others", servos, len(m.Actuators)-servos)
	if !slices.Equal(order, m.names) {
		m.result.Robot.Orders = map[string][]string{"actuators": order}
		m.note("the actuators are in another order than the joints: the robot has it as orders.actuators")
	}
	return nil
}

// chooseKeyframe finds the keyframe of the default pose.
func (m *importing) chooseKeyframe() error {
	var names []string
	for i, k := range m.Keyframes {
		name := k.Name
		if name == "" {
			name = strconv.Itoa(i)
		}
		names = append(names, name)
	}
	switch {
	case m.o.Keyframe != "":
		i := slices.Index(names, m.o.Keyframe)
		if i < 0 && len(names) == 0 {
			return m.wrong("keyframe", "found none, expected %q; give the pose by --pose", m.o.Keyframe)
		}
		if i < 0 {
			return m.wrong("keyframe", "%q not found, expected one of %s", m.o.Keyframe, strings.Join(names, ", "))
		}
		m.key = &m.Keyframes[i]
	case len(names) == 1:
		m.key = &m.Keyframes[0]
		m.found("keyframe", "%s, the only one", names[0])
	case len(names) > 1 && m.o.Pose.all == nil:
		return fmt.Errorf("--keyframe: missing: %s has %d keyframes: %s", m.o.Model, len(names), strings.Join(names, ", "))
	}
	return nil
}

// chooseFeet checks the names of the feet.
func (m *importing) chooseFeet() error {
	known := "the model names none of its geoms"
	if len(m.Geoms) > 0 {
		known = "the model's named geoms are " + strings.Join(m.Geoms, ", ")
	}
	if m.o.NoFeet != (len(m.o.Feet) == 0) {
		return fmt.Errorf("--feet: missing: the geoms of the feet, in the order of the contacts, or none; %s", known)
	}
	m.result.Robot.Feet = append([]string{}, m.o.Feet...)
	for _, foot := range m.o.Feet {
		if !slices.Contains(m.Geoms, foot) {
			return fmt.Errorf("--feet: geom %q not found in %s; %s", foot, m.o.Model, known)
		}
	}
	return nil
}

// checkValues checks the joints of the caller's values.
func (m *importing) checkValues() error {
	for _, v := range []struct {
		flag   string
		values *Values
	}{
		{"--lower", &m.o.Lower}, {"--upper", &m.o.Upper}, {"--velocity", &m.o.Velocity}, {"--effort", &m.o.Effort}, {"--pose", &m.o.Pose},
		{"--kp", &m.o.Kp}, {"--kd", &m.o.Kd},
	} {
		if err := v.values.check(m.names); err != nil {
			return fmt.Errorf("%s: %w", v.flag, err)
		}
	}
	return nil
}

// symmetric returns the limit of a range around 0, or an error.
func symmetric(r [2]float64, scale float64) (float64, error) {
	low, high := r[0]*scale, r[1]*scale
	if scale < 0 {
		low, high = high, low
	}
	if math.Abs(low+high) > 1e-9*math.Abs(high) || !(high > 0) {
		return 0, fmt.Errorf("found a range of effort from %v to %v N·m, expected a symmetric one; give --effort", low, high)
	}
	return high, nil
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return strings.Join(quoted, ", ")
}
