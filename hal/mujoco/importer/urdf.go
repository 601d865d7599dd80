package importer

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// MaxURDFBytes is the maximum size of a URDF file.
const MaxURDFBytes = 16 << 20

// Error is an error of a model. It names the file, the element and the problem.
type Error struct {
	// File is the path of the model.
	File string
	// Element is the invalid element, for example `joint "FL_hip_joint"`; empty for the whole file.
	Element string
	// Problem has what was found and what was expected.
	Problem string
}

func (e *Error) Error() string {
	if e.Element == "" {
		return e.File + ": " + e.Problem
	}
	return e.File + ": " + e.Element + ": " + e.Problem
}

// URDF has the limits of joints in a URDF file, which its XML states and MuJoCo does not keep.
type URDF struct {
	// File is the path of the file.
	File string
	// Joints are in the order of the file. Fixed ones are left out.
	Joints []URDFJoint
}

// URDFJoint is a joint of a URDF file. A limit is nil where the file has none or 0, which exporters write for an unknown one.
type URDFJoint struct {
	Name                   string
	VelocityLimitRadPerSec *float64
	EffortLimitNm          *float64
	// Mimic is the name of the joint that this one follows; empty for none.
	Mimic string
}

// Joint returns the joint of that name, or nil.
func (u *URDF) Joint(name string) *URDFJoint {
	for i := range u.Joints {
		if u.Joints[i].Name == name {
			return &u.Joints[i]
		}
	}
	return nil
}

// IsURDF reports whether the root element of a file is that of a URDF, robot, and not that of MJCF, mujoco. The error is an [*Error] for
// any other content.
func IsURDF(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	d := xml.NewDecoder(io.LimitReader(f, MaxURDFBytes))
	for {
		token, err := d.Token()
		if err != nil {
			return false, &Error{path, "", "found no XML element, expected <mujoco> (MJCF) or <robot> (URDF)"}
		}
		root, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case root.Name.Local == "robot" || root.Name.Local == "mujoco":
			return root.Name.Local == "robot", nil
		default:
			return false, &Error{path, "<" + root.Name.Local + ">", "found this root element, expected <mujoco> (MJCF) or <robot> (URDF)"}
		}
	}
}

// urdfFile is the XML of a URDF. Joints of its transmissions are deeper and therefore not among the joints.
type urdfFile struct {
	XMLName xml.Name `xml:"robot"`
	Joints  []struct {
		Name  string `xml:"name,attr"`
		Type  string `xml:"type,attr"`
		Limit struct {
			Effort   string `xml:"effort,attr"`
			Velocity string `xml:"velocity,attr"`
		} `xml:"limit"`
		Mimic struct {
			Joint string `xml:"joint,attr"`
		} `xml:"mimic"`
	} `xml:"joint"`
	Properties []struct{} `xml:"http://www.ros.org/wiki/xacro property"`
	Macros     []struct{} `xml:"http://www.ros.org/wiki/xacro macro"`
	Includes   []struct{} `xml:"http://www.ros.org/wiki/xacro include"`
}

// ReadURDF reads the limits of a URDF file. The error is an [*Error] for invalid content.
func ReadURDF(path string) (*URDF, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxURDFBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > MaxURDFBytes {
		return nil, &Error{path, "", fmt.Sprintf("larger than %d bytes", MaxURDFBytes)}
	}
	var parsed urdfFile
	if err := xml.Unmarshal(content, &parsed); err != nil {
		if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
			return nil, &Error{path, fmt.Sprintf("line %d", syntax.Line), "invalid XML: " + syntax.Msg}
		}
		return nil, &Error{path, "", "expected a URDF: " + err.Error()}
	}
	if len(parsed.Properties)+len(parsed.Macros)+len(parsed.Includes) > 0 {
		return nil, &Error{path, "", "found xacro elements, expected a URDF: expand it first, with xacro FILE.xacro > FILE.urdf"}
	}
	u := &URDF{File: path}
	for _, j := range parsed.Joints {
		element := fmt.Sprintf("joint %q", j.Name)
		switch {
		case j.Name == "":
			return nil, &Error{path, "joint", "found no name, expected one"}
		case u.Joint(j.Name) != nil:
			return nil, &Error{path, element, "found it twice, expected each joint once"}
		case j.Type == "fixed":
			continue
		}
		joint := URDFJoint{Name: j.Name, Mimic: j.Mimic.Joint}
		for _, l := range []struct {
			name, text string
			to         **float64
		}{{"velocity", j.Limit.Velocity, &joint.VelocityLimitRadPerSec}, {"effort", j.Limit.Effort, &joint.EffortLimitNm}} {
			if *l.to, err = limit(l.text); err != nil {
				return nil, &Error{path, element, fmt.Sprintf("limit %s: %v", l.name, err)}
			}
		}
		u.Joints = append(u.Joints, joint)
	}
	return u, nil
}

// limit reads a limit; it is nil for no text and for 0.
func limit(text string) (*float64, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0) {
		return nil, fmt.Errorf("found %q, expected a number of 0 or more", text)
	}
	if v == 0 {
		return nil, nil
	}
	return &v, nil
}
