"""Makes the directory of this module a site directory: Python then reads its .pth files.

Python imports this module when it starts. Another module of the same name, which this one hides, runs afterwards.
"""

import importlib.machinery
import importlib.util
import os
import site
import sys


def _run_hidden(directory):
    """Runs the first other module of this name on sys.path, in place of this one."""
    others = [entry for entry in sys.path if os.path.realpath(entry) != directory]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_directory = os.path.realpath(os.path.dirname(__file__))
site.addsitedir(os.path.dirname(os.path.abspath(__file__)))
_run_hidden(_directory)
