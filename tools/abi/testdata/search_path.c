// BUILD.bazel links this library with a search path.
int answer(void) { return 42; }
