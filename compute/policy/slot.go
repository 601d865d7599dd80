package policy

// Quantity is what a value of an observation means.
type Quantity string

// The quantities that observations are made of.
const (
	BaseVelocity    Quantity = "base velocity"
	AngularVelocity Quantity = "angular velocity"
	Gravity         Quantity = "gravity"
	RollPitch       Quantity = "roll and pitch"
	JointPosition   Quantity = "joint position" // Less the default pose.
	JointVelocity   Quantity = "joint velocity"
	LastAction      Quantity = "last action"
	Command         Quantity = "command"
	Contact         Quantity = "contact"
	// Constant is 0, always.
	Constant Quantity = "constant"
	// Elsewhere comes from neither the robot's joints nor its inertial unit: from a map, a camera, another model.
	Elsewhere Quantity = "from elsewhere"
)

// Slot is one value of an observation. The package that builds a kind of observation lists its slots.
type Slot struct {
	// Name tells it from the others, for people.
	Name     string
	Quantity Quantity
	// Unit is that of the value before it is multiplied by Scale.
	Unit  string
	Scale float64
	// StepsBack is how many steps old the value is; Of is then the index of the slot that had it in that step, or -1 for 0.
	StepsBack int
	Of        int
}
