"""A C and C++ toolchain from the ziglang wheel, for one architecture and one version of glibc.

All files that the compiler and the linker read are inputs of the action: zig, its headers, and a sysroot of runtime libraries,
which is built once for each architecture. zig's cache is private to each action.

The headers are one file, a tar that the compiler's driver unpacks: rules_go gives all files of the toolchain to each link, and a sandbox
of 1,700 headers takes as long as a link.
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load(
    "@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl",
    "action_config",
    "feature",
    "flag_group",
    "flag_set",
    "tool",
)

# The parts of the toolchain run on the build machine. This tag excludes them from `//...`, which builds for the target platform.
_INTERNAL = ["manual"]

_LOADERS = {
    "aarch64": "/lib/ld-linux-aarch64.so.1",
    "x86_64": "/lib64/ld-linux-x86-64.so.2",
}

_EMULATIONS = {
    "aarch64": "aarch64linux",
    "x86_64": "elf_x86_64",
}

_COMPILE_ACTIONS = [
    ACTION_NAMES.assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.preprocess_assemble,
]

_LINK_ACTIONS = [
    ACTION_NAMES.cpp_link_dynamic_library,
    ACTION_NAMES.cpp_link_executable,
    ACTION_NAMES.cpp_link_nodeps_dynamic_library,
]

# Bazel's features with the flags of each action. Actions with explicit tools get them only through `implies`.
_COMPILE_FEATURES = [
    "compiler_input_flags",
    "compiler_output_flags",
    "unfiltered_compile_flags",
    "user_compile_flags",
]

_LINK_FEATURES = [
    "libraries_to_link",
    "library_search_directories",
    "linker_param_file",
    "output_execpath_flags",
    "user_link_flags",
]

# rules_go sets these flags for its linter nogo and all dependencies. Resetting them avoids a second build of the toolchain.
_unmarked = transition(
    implementation = lambda _settings, _attr: {
        "@rules_go//go/private:bootstrap_nogo": False,
        "@rules_go//go/private:request_nogo": False,
    },
    inputs = [],
    outputs = [
        "@rules_go//go/private:bootstrap_nogo",
        "@rules_go//go/private:request_nogo",
    ],
)

def _sysroot_impl(ctx):
    output = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run(
        executable = ctx.executable._script,
        arguments = [ctx.file._zig.path, ctx.attr.target, output.path],
        inputs = depset([ctx.file._zig], transitive = [ctx.attr._sources.files]),
        outputs = [output],
        mnemonic = "ZigSysroot",
        progress_message = "Building the C and C++ runtime for " + ctx.attr.target,
    )
    return [DefaultInfo(files = depset([output]))]

_sysroot = rule(
    implementation = _sysroot_impl,
    cfg = _unmarked,
    doc = "Builds the runtime libraries and start files for links, as one directory.",
    attrs = {
        "target": attr.string(mandatory = True, doc = "zig's name of the target, such as aarch64-linux-gnu.2.35."),
        "_script": attr.label(default = ":sysroot.sh", allow_single_file = True, executable = True, cfg = "exec"),
        "_sources": attr.label(default = "@ziglang//:runtime_sources"),
        "_zig": attr.label(default = "@ziglang//:ziglang/zig", allow_single_file = True),
    },
)

def _headers_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".tar")
    root = ctx.file._zig.dirname + "/lib/"
    paths = ctx.actions.args()
    paths.add_all(ctx.files.srcs, map_each = _path_in_lib)
    paths.set_param_file_format("multiline")
    paths.use_param_file("%s", use_always = True)
    ctx.actions.run_shell(
        arguments = [output.path, root, paths],
        command = """tar --create --file "$1" --directory "$2" --dereference --files-from "$PWD/$3" \\
            --sort=name --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rw,go=r""",
        inputs = ctx.files.srcs,
        mnemonic = "ZigHeaders",
        outputs = [output],
        progress_message = "Packing headers %{label}",
    )
    return [DefaultInfo(files = depset([output]))]

def _path_in_lib(file):
    return file.path.partition("/ziglang/lib/")[2]

_headers = rule(
    implementation = _headers_impl,
    cfg = _unmarked,
    doc = "Packs headers of zig, with their paths below its directory `lib`.",
    attrs = {
        "srcs": attr.label_list(allow_files = True, mandatory = True, doc = "Headers."),
        "_zig": attr.label(default = "@ziglang//:ziglang/zig", allow_single_file = True),
    },
)

def _tool_impl(ctx):
    sysroot = ctx.file.sysroot
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.expand_template(
        template = ctx.file.template,
        output = output,
        is_executable = True,
        substitutions = {
            "{EMULATION}": _EMULATIONS[ctx.attr.architecture],
            "{C_HEADERS}": ctx.file.c_headers.path,
            "{CC_HEADERS}": ctx.file._cc_headers.path,
            "{GLIBC}": ctx.attr.glibc,
            "{LOADER}": _LOADERS[ctx.attr.architecture],
            "{SELF}": output.path,
            "{SYSROOT}": sysroot.path,
            "{TARGET}": ctx.attr.architecture + "-linux-gnu",
            "{ZIG}": ctx.file._zig.path,
        },
    )
    return [DefaultInfo(files = depset([output]), executable = output)]

_tool = rule(
    implementation = _tool_impl,
    doc = "Writes the driver script of one target from a template.",
    attrs = {
        "architecture": attr.string(mandatory = True, values = _LOADERS.keys(), doc = "Architecture to build for."),
        "c_headers": attr.label(mandatory = True, allow_single_file = True, doc = "Tar of the headers of C."),
        "glibc": attr.string(mandatory = True, doc = "Newest version of glibc whose symbols may be used."),
        "sysroot": attr.label(mandatory = True, allow_single_file = True, doc = "Directory that sysroot.sh writes."),
        "template": attr.label(mandatory = True, allow_single_file = True, doc = "Template of the script."),
        "_cc_headers": attr.label(default = ":cc_headers", allow_single_file = True),
        "_zig": attr.label(default = "@ziglang//:ziglang/zig", allow_single_file = True),
    },
)

def _flags(name, actions, flags):
    return feature(
        name = name,
        enabled = True,
        flag_sets = [flag_set(actions = actions, flag_groups = [flag_group(flags = flags)])],
    )

def _config_impl(ctx):
    cc = tool(tool = ctx.file.cc)
    ar = tool(tool = ctx.file.ar)
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        toolchain_identifier = "zig-" + ctx.attr.architecture,
        target_system_name = ctx.attr.architecture + "-linux-gnu",
        target_cpu = ctx.attr.architecture,
        target_libc = "glibc_" + ctx.attr.glibc,
        compiler = "clang",
        abi_version = "unknown",
        abi_libc_version = "unknown",
        # cc.sh links this path to zig's headers.
        cxx_builtin_include_directories = ["/tmp/zig"],
        action_configs = [
            action_config(action_name = name, enabled = True, tools = [cc], implies = _COMPILE_FEATURES)
            for name in _COMPILE_ACTIONS
        ] + [
            action_config(
                action_name = name,
                enabled = True,
                tools = [cc],
                implies = _LINK_FEATURES + ([] if name == ACTION_NAMES.cpp_link_executable else ["shared_flag"]),
            )
            for name in _LINK_ACTIONS
        ] + [
            action_config(
                action_name = ACTION_NAMES.cpp_link_static_library,
                enabled = True,
                tools = [ar],
                implies = ["archiver_flags", "linker_param_file"],
            ),
            action_config(action_name = ACTION_NAMES.strip, enabled = True, tools = [ar]),
        ],
        features = [
            feature(name = "supports_pic", enabled = True),
            _flags("reproducible", _COMPILE_ACTIONS, [
                "-Wno-builtin-macro-redefined",
                "-D__DATE__=\"redacted\"",
                "-D__TIME__=\"redacted\"",
                "-D__TIMESTAMP__=\"redacted\"",
            ]),
            _flags("optimized", _COMPILE_ACTIONS, ["-O2", "-DNDEBUG", "-g0", "-ffunction-sections", "-fdata-sections"]),
            _flags("small", _LINK_ACTIONS, ["-Wl,--gc-sections", "-Wl,-s"]),
        ],
    )

_config = rule(
    implementation = _config_impl,
    doc = "Describes the toolchain to Bazel: tools, features and flags.",
    attrs = {
        "ar": attr.label(mandatory = True, allow_single_file = True, cfg = "exec", doc = "Archiver."),
        "architecture": attr.string(mandatory = True, doc = "Architecture to build for."),
        "cc": attr.label(mandatory = True, allow_single_file = True, cfg = "exec", doc = "Compiler driver."),
        "glibc": attr.string(mandatory = True, doc = "Newest version of glibc whose symbols may be used."),
    },
    provides = [CcToolchainConfigInfo],
)

def cc_headers(name):
    """Packs the headers of C++, which all architectures share.

    Args:
      name: name of the target.
    """
    _headers(
        name = name,
        tags = _INTERNAL,
        srcs = ["@ziglang//:cc_headers"],
    )

def zig_toolchain(name, glibc, target_compatible_with):
    """Declares a C and C++ toolchain that runs on x86_64 Linux.

    Args:
      name: architecture to build for, aarch64 or x86_64; also the name of the toolchain target.
      glibc: newest version of glibc whose symbols may be used, such as 2.35.
      target_compatible_with: constraints of the target platforms.
    """
    _sysroot(
        name = name + "_sysroot",
        tags = _INTERNAL,
        target = "{}-linux-gnu.{}".format(name, glibc),
    )
    _headers(
        name = name + "_c_headers",
        tags = _INTERNAL,
        srcs = ["@ziglang//:{}_c_headers".format(name)],
    )
    for tool_name in ["cc", "ar"]:
        _tool(
            name = "{}_{}".format(name, tool_name),
            architecture = name,
            c_headers = name + "_c_headers",
            glibc = glibc,
            sysroot = name + "_sysroot",
            tags = _INTERNAL,
            template = tool_name + ".sh",
        )
    _config(
        name = name + "_config",
        tags = _INTERNAL,
        ar = name + "_ar",
        architecture = name,
        cc = name + "_cc",
        glibc = glibc,
    )
    native.filegroup(
        name = name + "_link",
        tags = _INTERNAL,
        srcs = [
            name + "_cc",
            name + "_sysroot",
            "@ziglang//:ziglang/zig",
        ],
    )
    native.filegroup(
        name = name + "_compile_c",
        tags = _INTERNAL,
        srcs = [
            name + "_cc",
            name + "_c_headers",
            "@ziglang//:ziglang/zig",
        ],
    )
    native.filegroup(
        name = name + "_compile",
        tags = _INTERNAL,
        srcs = [
            name + "_compile_c",
            "cc_headers",
        ],
    )
    native.filegroup(
        name = name + "_archive",
        tags = _INTERNAL,
        srcs = [
            name + "_ar",
            "@ziglang//:ziglang/zig",
        ],
    )

    # rules_go adds all of these to every link of a Go program. They have no C++ headers: C++ for Go is in a cc_library.
    native.filegroup(
        name = name + "_all",
        tags = _INTERNAL,
        srcs = [
            name + "_archive",
            name + "_compile_c",
            name + "_link",
        ],
    )
    native.cc_toolchain(
        name = name + "_cc_toolchain",
        tags = _INTERNAL,
        all_files = name + "_all",
        ar_files = name + "_archive",
        as_files = name + "_compile",
        compiler_files = name + "_compile",
        dwp_files = name + "_archive",
        linker_files = name + "_link",
        objcopy_files = name + "_archive",
        strip_files = name + "_archive",
        toolchain_config = name + "_config",
    )
    native.toolchain(
        name = name,
        exec_compatible_with = [
            "@platforms//cpu:x86_64",
            "@platforms//os:linux",
        ],
        target_compatible_with = target_compatible_with,
        toolchain = name + "_cc_toolchain",
        toolchain_type = "@bazel_tools//tools/cpp:toolchain_type",
    )
