"""How the macros of this module take their attributes."""

# What Bazel gives every rule, and a macro passes on untouched.
_COMMON = [
    "compatible_with",
    "deprecation",
    "exec_compatible_with",
    "exec_properties",
    "features",
    "package_metadata",
    "restricted_to",
    "tags",
    "target_compatible_with",
    "testonly",
    "visibility",
]

def unknown(macro, name, given, known):
    """Says what is wrong with attributes that neither the macro nor Bazel knows.

    Args:
        macro: name of the macro, for the message.
        name: name of the target, for the message.
        given: names of the attributes that the macro was given beyond its named parameters.
        known: the macro's own attributes, for the message.

    Returns:
        The message, or None where all is well.
    """
    wrong = sorted([attribute for attribute in given if attribute not in _COMMON])
    if not wrong:
        return None
    return "{}(name = \"{}\") has no attribute {}; it knows {} and Bazel's common attributes".format(
        macro,
        name,
        ", ".join(wrong),
        ", ".join(sorted(known)),
    )

def reject_unknown(macro, name, kwargs, known):
    """Fails when kwargs holds an attribute that neither the macro nor Bazel knows.

    Args:
        macro: name of the macro, for the message.
        name: name of the target, for the message.
        kwargs: what the macro was given beyond its named parameters.
        known: the macro's own attributes, for the message.
    """
    message = unknown(macro, name, kwargs.keys(), known)
    if message:
        fail(message)

def inline_or_file(attribute, value):
    """Sorts a value that may be written in a BUILD file or lie in a file.

    Args:
        attribute: name of the attribute.
        value: None, a label (as string or Label), or a list, dict or select() of values.

    Returns:
        A dict of rule attributes: `<attribute>` for values, `<attribute>_file`
        for a label, neither for None.
    """
    if value == None:
        return {}
    if type(value) in ("string", "Label"):
        return {attribute + "_file": value}
    return {attribute: value}

def lines(values, file, given = False):
    """Describes inline values or a file to the Go tool.

    Args:
        values: list of strings.
        file: a path, or None.
        given: whether an empty list was written on purpose, which clears the base's.

    Returns:
        A struct to encode as JSON, or None where nothing was said.
    """
    if file != None:
        return struct(file = file)
    if values or given:
        return struct(values = values)
    return None

def without_none(**kwargs):
    """Returns a struct of those arguments that are not None, to encode as JSON.

    Args:
        **kwargs: the fields.

    Returns:
        A struct.
    """
    return struct(**{k: v for k, v in kwargs.items() if v != None})

def stable_name(label):
    """Names a target in a way that enters an image.

    Repositories have other names in another Bazel or as another module's
    dependency, and an image must not, so the repository is left out.

    Args:
        label: a Label.

    Returns:
        A string such as `//oci:rootfs`.
    """
    return "//{}:{}".format(label.package, label.name)

def rlocation(ctx, file):
    """Names a file as a program that `bazel run` starts finds it.

    Args:
        ctx: rule context.
        file: a File among the program's runfiles.

    Returns:
        Path of the file in the directory of the runfiles.
    """
    if file.short_path.startswith("../"):
        return file.short_path[len("../"):]
    return ctx.workspace_name + "/" + file.short_path
