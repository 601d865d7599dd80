"""A stub of the extension that bazel_tools uses. `bazel mod tidy` requires the real one."""

def _repository_impl(rctx):
    rctx.file("BUILD.bazel", "")

_repository = repository_rule(implementation = _repository_impl, doc = "An empty repository.")

def _buildozer_impl(_mctx):
    _repository(name = "buildozer_binary")

buildozer_binary = module_extension(
    implementation = _buildozer_impl,
    doc = "Defines the empty repository @buildozer_binary.",
)
