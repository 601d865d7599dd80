package starlark_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"krabby.dev/krabby/tools/docs/starlark"
)

const library = `"""Things."""

_KINDS = ["a", "b"]
_DOC = "In a file, {}."
_COMMON = {"kind": attr.string(values = _KINDS, doc = "Kind.")}

_thing = rule(
    implementation = _impl,
    attrs = _COMMON | {
        "src": attr.label(mandatory = True, doc = "Source | file. " + _DOC.format("one a line")),
        "_tool": attr.label(default = "//tool"),
    },
    doc = """Makes a thing.

    Slowly.""",
)

def macro(name, srcs = [], **kwargs):
    """Makes things.

    More.

    Args:
      name: name of the target.
      srcs: sources,
        in order.
      **kwargs: further attributes.

    Returns:
      The label.
    """

thing = _thing

_tag = tag_class(attrs = {"count": attr.int(default = 3, doc = "Count.")}, doc = "Adds a thing.")
things = module_extension(implementation = _impl, tag_classes = {"add": _tag}, doc = "Things by modules.")
`

func render(files map[string]string, symbols ...string) (string, error) {
	tree := fstest.MapFS{}
	for name, content := range files {
		tree[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return starlark.Render(tree, starlark.Page{Title: "Page", Label: "//lib:defs.bzl", Path: "lib/defs.bzl", Symbols: symbols})
}

func TestRender(t *testing.T) {
	got, err := render(map[string]string{
		"lib/defs.bzl":    "\"\"\"Public.\"\"\"\nload(\":private.bzl\", \"macro\", \"things\", _thing = \"thing\")\nthing = _thing\n",
		"lib/private.bzl": library,
	}, "thing", "macro", "things")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Page\n", "\nPublic.\n",
		"## thing\n\n```starlark\nload(\"//lib:defs.bzl\", \"thing\")\n```\n\nMakes a thing.\n\nSlowly.\n",
		"| `kind` | string | `\"\"` | Kind. Allowed: `\"a\"`, `\"b\"`. |\n",
		"| `src` | label | required | Source \\| file. In a file, one a line. |\n",
		"## macro\n", "Makes things.\n\nMore.\n",
		"| `name` | required | name of the target. |\n| `srcs` | `[]` | sources, in order. |\n| `**kwargs` |  | further attributes. |\n",
		"\nReturns the label.\n",
		"## things\n\n```starlark\nthings = use_extension(\"//lib:defs.bzl\", \"things\")\n```\n\nThings by modules.\n",
		"### things.add\n\nAdds a thing.\n", "| `count` | int | `3` | Count. |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "_tool") {
		t.Errorf("private attribute in\n%s", got)
	}
}

func TestRender_invalid(t *testing.T) {
	for name, test := range map[string]struct{ source, want string }{
		"missing symbol":        {"x = 1\n", "thing: symbol not found"},
		"no kind":               {"thing = 1\n", "thing: neither a function nor a rule"},
		"rule without doc":      {"thing = rule(implementation = f)\n", "thing: no docstring"},
		"attribute without doc": {"thing = rule(doc = \"Doc.\", attrs = {\"a\": attr.string()})\n", "thing: attribute a: no docstring"},
		"macro without doc":     {"def thing(name):\n    pass\n", "thing: no docstring"},
		"argument without doc":  {"def thing(name, x):\n    \"\"\"Doc.\n\n    Args:\n      name: name.\n    \"\"\"\n", "thing: argument x: not described"},
		"other repository":      {"load(\"@other//:x.bzl\", \"thing\")\n", "thing: loaded from @other//:x.bzl"},
		"syntax":                {"def (", "syntax error"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := render(map[string]string{"lib/defs.bzl": test.source}, "thing"); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Render = %q, %v; want %q in the error", got, err, test.want)
			}
		})
	}
}
