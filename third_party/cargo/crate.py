"""Downloads a crate as cargo does: from the source that replaces crates.io in cargo's configuration, or else from crates.io.

    python3 crate.py NAME VERSION FILE

The configuration is config.toml in CARGO_HOME, which is ~/.cargo if unset, and the variables CARGO_REGISTRIES_<NAME>_INDEX,
CARGO_HTTP_PROXY and CARGO_HTTP_CAINFO. Sources are sparse registries and local registries. The caller verifies the hash.
"""

import json
import os
import shutil
import sys
import urllib.request

try:
    import tomllib
except ImportError:  # Python before 3.11; pip has the library that became tomllib.
    from pip._vendor import tomli as tomllib

CRATES_IO = "https://static.crates.io/crates/{crate}/{crate}-{version}.crate"


class Failure(Exception):
    """A failure with its reason, for one line of output."""


def configuration():
    """Returns cargo's configuration as a dictionary, and the file that it is from."""
    home = os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")
    for name in ("config", "config.toml"):  # cargo prefers the old name too, if both exist.
        path = os.path.join(home, name)
        try:
            with open(path, "rb") as f:
                return tomllib.load(f), path
        except FileNotFoundError:
            continue
        except (OSError, tomllib.TOMLDecodeError) as e:
            raise Failure(f"{path}: {e}") from e
    return {}, os.path.join(home, "config.toml")


def location(config, path):
    """Returns the kind of the source that serves crates.io's crates, and where it is."""
    sources, registries = config.get("source", {}), config.get("registries", {})
    name, seen = "crates-io", []
    while "replace-with" in sources.get(name, {}):
        seen.append(name)
        name = sources[name]["replace-with"]
        if name in seen:
            raise Failure(f"{path}: source.{name}: replace-with leads back to {name}")
    source = sources.get(name, {})
    if "local-registry" in source:
        return "local", os.path.join(os.path.dirname(path), os.pardir, source["local-registry"])
    variable = f"CARGO_REGISTRIES_{name.upper().replace('-', '_')}_INDEX"
    index = source.get("registry") or os.environ.get(variable) or registries.get(name, {}).get("index")
    if index is None and name == "crates-io":
        return "template", CRATES_IO
    if index is None or not index.startswith("sparse+"):
        found = "no index" if index is None else f'index "{index}"'
        raise Failure(f"{path}: source.{name}: found {found}, expected sparse+https://... or a local-registry")
    return "sparse", index.removeprefix("sparse+")


def opener(config):
    """Returns what opens addresses with cargo's proxy and certificates, or else those of the environment."""
    http = config.get("http", {})
    cainfo = os.environ.get("CARGO_HTTP_CAINFO") or http.get("cainfo")
    proxy = os.environ.get("CARGO_HTTP_PROXY") or http.get("proxy")
    handlers = []
    if cainfo:
        import ssl  # Some Pythons have no ssl.

        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=cainfo)))
    if proxy:
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def prefix(name):
    """Returns the directory of a crate in an index."""
    if len(name) <= 2:
        return str(len(name))
    return f"3/{name[0]}" if len(name) == 3 else f"{name[:2]}/{name[2:4]}"


def address(template, name, version):
    """Returns the address of a crate, from the field "dl" of an index."""
    markers = {"{crate}": name, "{version}": version, "{prefix}": prefix(name), "{lowerprefix}": prefix(name.lower())}
    if not any(marker in template for marker in markers):
        template += "/{crate}/{version}/download"
    for marker, value in markers.items():
        template = template.replace(marker, value)
    return template


def download(name, version, output):
    """Writes the crate to output."""
    config, path = configuration()
    kind, where = location(config, path)
    if kind == "local":
        shutil.copyfile(os.path.join(where, f"{name}-{version}.crate"), output)
        return
    open_address = opener(config).open
    if kind == "sparse":
        with open_address(where.rstrip("/") + "/config.json", timeout=30) as answer:
            where = json.load(answer)["dl"]
    with open_address(address(where, name, version), timeout=60) as answer, open(output, "wb") as f:
        shutil.copyfileobj(answer, f)


def main(arguments):
    if len(arguments) != 3:
        sys.exit("usage: crate.py NAME VERSION FILE")
    name, version, output = arguments
    try:
        download(name, version, output)
    except (Failure, OSError, ValueError, KeyError) as e:
        print(f"{name} {version}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
