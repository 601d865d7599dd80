// A library that says where to look for others; see BUILD.bazel.
int answer(void) { return 42; }
