"""Answers the cases of a JSON file with PyPI's packaging and installer, and prints the answers as JSON.

Usage: reference.py CASES.json
"""

import hashlib
import json
import sys
import warnings

import installer
from installer.records import RecordEntry
from installer.sources import WheelFile
from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

INVALID, ERROR = "invalid", "error"


def order(case):
    """Returns the order of two versions: -1, 0 or 1."""
    try:
        left, right = map(Version, case)
    except InvalidVersion:
        return INVALID
    return (left > right) - (left < right)


def contains(case):
    """Returns whether a specifier contains a version."""
    try:
        return SpecifierSet(case[0]).contains(Version(case[1]))
    except (InvalidSpecifier, InvalidVersion):
        return INVALID


def evaluate(marker, environment):
    try:
        return marker.evaluate(environment)
    except (UndefinedComparison, UndefinedEnvironmentName):
        return ERROR


def marker(case):
    """Returns the value of a marker in an environment."""
    try:
        return evaluate(Marker(case["marker"]), case["environment"])
    except InvalidMarker:
        return INVALID


def requirement(case):
    """Returns the parts of a requirement: which of the versions fit, and whether its marker holds."""
    try:
        parsed = Requirement(case["requirement"])
    except InvalidRequirement:
        return INVALID
    return {
        "project": canonicalize_name(parsed.name),
        "extras": sorted(canonicalize_name(extra) for extra in parsed.extras),
        "url": parsed.url or "",
        "fit": [version for version in case["versions"] if parsed.specifier.contains(Version(version))],
        "applies": evaluate(parsed.marker, case["environment"]) if parsed.marker else True,
    }


class Destination:
    """Collects the installed files: scheme and path to SHA-256 and whether the file is executable."""

    def __init__(self):
        self.files = {}

    def write_file(self, scheme, path, stream, is_executable):
        content = stream.read()
        if scheme == "scripts" and content.startswith(b"#!python"):
            content = b"#!/usr/bin/python3.11" + content[content.index(b"\n") :]
        self.files[f"{scheme}/{path}"] = [hashlib.sha256(content).hexdigest(), is_executable or scheme == "scripts"]
        return RecordEntry(path, None, None)

    def write_script(self, name, module, attr, section):
        self.files[f"scripts/{name}"] = [f"{module}:{attr}", True]
        return RecordEntry(name, None, None)

    def finalize_installation(self, scheme, record_file_path, records):
        pass


def wheel(path):
    """Returns the installed files of a wheel whose RECORD is right."""
    destination = Destination()
    with WheelFile.open(path) as source:
        try:
            source.validate_record(validate_contents=True)
        except source.validation_error:
            return INVALID
        installer.install(source, destination, {})
    return destination.files


def main():
    warnings.simplefilter("ignore")  # About installed __pycache__.
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)
    answers = {
        name: [answer(case) for case in cases[name]]
        for name, answer in {"order": order, "contains": contains, "markers": marker, "requirements": requirement, "wheels": wheel}.items()
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
