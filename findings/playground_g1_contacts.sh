#!/usr/bin/env bash
# Feet of Playground's G1 touch one geom only: the one that is named "floor".
#
# Versions: playground 0.0.4, mujoco 3.17.0, numpy 1.26.4, CPython 3.11.
#
# One would expect the G1 to stand on any geom of a scene that collides with the floor's types, as the Go1 of the same package does.
# Its model g1_mjx_feetonly.xml excludes all geoms from collisions by type (contype and conaffinity are 0) and lists contact pairs, which
# name geoms. A step or a ramp in the scene has no effect: the feet pass through it and rest on the floor inside, without an error or a
# warning. A scene whose floor has another name does not compile. The Go1 stands on top of the step.
#
# Output:
#   Go1 on a step of 0.1 m: feet at 0.12 m
#   G1 on a step of 0.1 m: feet at 0.01 m
#   G1 on a floor named "ground": geom 'floor' not found in collision 0
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check mujoco==3.17.0 numpy==1.26.4
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$dir/playground" playground==0.0.4

cat >"$dir/feet.py" <<'PYTHON'
import pathlib
import sys

import mujoco

robots = pathlib.Path(sys.argv[1], "mujoco_playground/_src/locomotion")


def settle(name, foot, floor="floor", step_m=0.0):
    """Returns the height of a foot's centre in m after the robot has held its first keyframe's joints for 0.3 s above the ground."""
    spec = mujoco.MjSpec.from_file(str(robots / name / f"xmls/{name}_mjx_feetonly.xml"))
    for geom in [geom for geom in spec.geoms if geom.type == mujoco.mjtGeom.mjGEOM_MESH]:
        spec.delete(geom)
    for mesh in list(spec.meshes):
        spec.delete(mesh)
    spec.worldbody.add_geom(name=floor, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.01], contype=1, conaffinity=0)
    if step_m:
        spec.worldbody.add_geom(
            name="step", type=mujoco.mjtGeom.mjGEOM_BOX, size=[5, 5, step_m / 2], pos=[0, 0, step_m / 2], contype=1, conaffinity=0
        )
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    data.qpos[2] += step_m + 0.02
    data.ctrl[:] = data.qpos[7:]
    for _ in range(round(0.3 / model.opt.timestep)):
        mujoco.mj_step(model, data)
    return data.geom(foot).xpos[2]


go1, g1 = settle("go1", "FR", step_m=0.1), settle("g1", "left_foot", step_m=0.1)
print(f"Go1 on a step of 0.1 m: feet at {go1:.2f} m")
print(f"G1 on a step of 0.1 m: feet at {g1:.2f} m")
try:
    settle("g1", "left_foot", floor="ground")
    error = "no error"
except ValueError as raised:
    error = str(raised).splitlines()[0].removeprefix("Error: ")
print(f'G1 on a floor named "ground": {error}')
if not (go1 > 0.1 and g1 < 0.05 and error == "geom 'floor' not found in collision 0"):
    sys.exit("the behaviour has changed")
PYTHON
"$dir/venv/bin/python" "$dir/feet.py" "$dir/playground"
