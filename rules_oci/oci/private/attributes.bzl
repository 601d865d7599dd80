"""Attributes of the macros of this module."""

# Attributes that Bazel adds to every rule.
_COMMON = [
    "applicable_licenses",
    "aspect_hints",
    "compatible_with",
    "deprecation",
    "exec_compatible_with",
    "exec_group_compatible_with",
    "exec_properties",
    "features",
    "package_metadata",
    "restricted_to",
    "tags",
    "target_compatible_with",
    "testonly",
    "toolchains",
    "visibility",
]

# Attributes that Bazel adds to executable rules.
EXECUTABLE = ["args"]

def unknown(macro, name, given, known):
    """Returns an error about unknown attributes.

    Args:
        macro: name of the macro, for the message.
        name: name of the target, for the message.
        given: names of the attributes besides the named parameters of the macro.
        known: attributes of the macro.

    Returns:
        The message, or None if all attributes are known.
    """
    wrong = sorted([attribute for attribute in given if attribute not in _COMMON + known])
    if not wrong:
        return None
    return "{}(name = \"{}\"): unknown attribute {}; known: {}, and Bazel's common attributes".format(
        macro,
        name,
        ", ".join(wrong),
        ", ".join(sorted(known)),
    )

def reject_unknown(macro, name, kwargs, known):
    """Fails if kwargs has an unknown attribute.

    Args:
        macro: name of the macro, for the message.
        name: name of the target, for the message.
        kwargs: arguments besides the named parameters of the macro.
        known: attributes of the macro.
    """
    message = unknown(macro, name, kwargs.keys(), known)
    if message:
        fail(message)

def rule_kwargs(kwargs):
    """Returns the attributes that a helper target of a macro inherits.

    Args:
        kwargs: arguments of the macro.

    Returns:
        A dict without the attributes of executable rules.
    """
    return {name: value for name, value in kwargs.items() if name not in EXECUTABLE}

def lines(values, file):
    """Describes inline values or a file to the Go program.

    Args:
        values: list of strings.
        file: a path, or None.

    Returns:
        A struct to encode as JSON, or None without values and file.
    """
    if file != None:
        return struct(file = file)
    if values:
        return struct(values = values)
    return None

def without_none(**kwargs):
    """Returns a struct of the arguments that are not None, to encode as JSON.

    Args:
        **kwargs: the fields.

    Returns:
        A struct.
    """
    return struct(**{k: v for k, v in kwargs.items() if v != None})

def rlocation(ctx, file):
    """Returns the path of a file in the runfiles of a program.

    Args:
        ctx: rule context.
        file: a File in the runfiles.

    Returns:
        The path, relative to the directory of the runfiles.
    """
    if file.short_path.startswith("../"):
        return file.short_path[len("../"):]
    return ctx.workspace_name + "/" + file.short_path
