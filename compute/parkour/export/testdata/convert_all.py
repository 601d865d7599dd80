"""Converts every checkpoint in a directory, in one process, and a missing one, "nothing". Prints the results as JSON.

    python3 convert_all.py DIRECTORY

The JSON maps the name of each checkpoint to its exit code, its standard error and whether its policy directory exists.
"""

import contextlib
import io
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import convert  # noqa: E402

results = {}
for path in [*sorted(pathlib.Path(sys.argv[1]).glob("*.pt")), pathlib.Path("nothing.pt")]:
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        code = convert.main([str(path), str(path.with_suffix("")), "--kind=teacher", "--source=a test"])
    results[path.stem] = {"code": code, "stderr": stderr.getvalue(), "made": path.with_suffix("").exists()}
json.dump(results, sys.stdout)
