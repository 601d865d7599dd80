"""Public rules, for this repository and for workspaces that depend on it (docs/workspace.md).

```starlark
load("@krabby//:defs.bzl", "layer", "policy", "robot_image")
```
"""

load("//oci:robot_image.bzl", _robot_image = "robot_image")
load("//tools/layer:layer.bzl", _layer = "layer")
load("//tools/policy:policy.bzl", _PolicyInfo = "PolicyInfo", _policy = "policy")

PolicyInfo = _PolicyInfo
layer = _layer
policy = _policy
robot_image = _robot_image
