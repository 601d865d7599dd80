"""The extension that bazel_tools asks for; `bazel mod tidy` needs the real one."""

def _repository_impl(rctx):
    rctx.file("BUILD.bazel", "")

_repository = repository_rule(implementation = _repository_impl, doc = "An empty repository.")

def _buildozer_impl(_mctx):
    _repository(name = "buildozer_binary")

buildozer_binary = module_extension(
    implementation = _buildozer_impl,
    doc = "Makes @buildozer_binary, empty.",
)
