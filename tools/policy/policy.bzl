"""The rule `policy`: a policy directory that is verified by the build.

```starlark
load("@krabby//:defs.bzl", "policy")

policy(
    name = "stand",
    manifest = "stand/manifest.json",
    models = {"policy.onnx": "stand/policy.onnx"},
    robot = "my_robot.json",
)
```
"""

PolicyInfo = provider(
    doc = "A policy directory.",
    fields = {
        "manifest": "File: its manifest.json.",
        "models": "List of files: the models beside the manifest.",
        "robot": "File: the robot's file, or None for a robot that is built in.",
    },
)

def _policy_impl(ctx):
    manifest = ctx.outputs.manifest_out
    ctx.actions.symlink(output = manifest, target_file = ctx.file.manifest)
    models = []
    for target, name in ctx.attr.models.items():
        sources = target[DefaultInfo].files.to_list()
        if len(sources) != 1:
            fail("models: {}: found {} files, expected one".format(target.label, len(sources)))
        [model] = [file for file in ctx.outputs.models_out if file.basename == name]
        ctx.actions.symlink(output = model, target_file = sources[0])
        models.append(model)

    # Programs verify a directory when they load it. Here the build does, so that nothing is built from an invalid one.
    description = ctx.actions.declare_file(ctx.label.name + ".json")
    args = ctx.actions.args()
    args.add("--json")
    args.add("--output", description)
    if ctx.file.robot:
        args.add("--robot", ctx.file.robot)
    args.add(manifest.dirname)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._inspect,
        inputs = [manifest] + models + ([ctx.file.robot] if ctx.file.robot else []),
        mnemonic = "Policy",
        outputs = [description],
        progress_message = "Verifying policy %{label}",
    )
    files = depset([manifest] + models)
    return [
        DefaultInfo(files = files, runfiles = ctx.runfiles(transitive_files = files)),
        OutputGroupInfo(_validation = depset([description]), description = depset([description])),
        PolicyInfo(manifest = manifest, models = models, robot = ctx.file.robot),
    ]

_policy = rule(
    implementation = _policy_impl,
    attrs = {
        "manifest": attr.label(allow_single_file = [".json"], doc = "The manifest.", mandatory = True),
        "manifest_out": attr.output(doc = "Path of the manifest in the directory.", mandatory = True),
        "models": attr.label_keyed_string_dict(allow_files = True, doc = "Models, and their names in the directory.", mandatory = True),
        "models_out": attr.output_list(doc = "Paths of the models in the directory.", mandatory = True),
        "robot": attr.label(allow_single_file = [".json"], doc = "Robot file of a robot that is not built in."),
        "_inspect": attr.label(cfg = "exec", default = Label("//cmd/policy-inspect"), executable = True),
    },
    doc = "A policy directory. Use the macro `policy`.",
    provides = [PolicyInfo],
)

def policy(name, manifest, models, robot = None, directory = None, **kwargs):
    """Makes a policy directory, with manifest.json and models, and verifies it as programs do before they run a policy.

    Every build of a target that depends on the policy fails if the manifest is invalid, contradicts the metadata of a model, or a model has
    another checksum. The output group `description` is a file with what `policy-inspect --json` prints.

    Args:
      name: name of the target.
      manifest: the manifest: label of a JSON file.
      models: the models: a dict from names in the directory, as in the manifest, to labels of files.
      robot: label of a robot file, for a robot that is not built in.
      directory: the directory, relative to that of the package; the default is the name. `.` is the package's.
      **kwargs: common attributes of Bazel, such as `visibility` and `tags`.
    """
    prefix = "" if directory == "." else (directory or name) + "/"
    _policy(
        name = name,
        manifest = manifest,
        manifest_out = prefix + "manifest.json",
        models_out = [prefix + file for file in models],
        models = {label: file for file, label in models.items()},
        robot = robot,
        **kwargs
    )
