"""Platforms of images. internal/platform has the same rules in Go."""

# Default variants of architectures: linux/arm64 is linux/arm64/v8.
_DEFAULT_VARIANTS = {
    "arm": "v7",
    "arm64": "v8",
}

def platform_name(platform):
    """Formats a platform.

    Args:
        platform: dict with the keys of an index or config.

    Returns:
        `os/architecture`, with the variant if there is one.
    """
    return "/".join([platform[key] for key in ["os", "architecture", "variant"] if platform.get(key)])

def _parse(name):
    parts = name.split("/")
    return {
        "architecture": parts[1] if len(parts) > 1 else "",
        "os": parts[0],
        "variant": parts[2] if len(parts) > 2 else "",
    }

def _variant(platform):
    return platform.get("variant") or _DEFAULT_VARIANTS.get(platform.get("architecture"), "")

def matches(platform, wanted):
    """Reports whether an image for a platform is one for another.

    Args:
        platform: dict with the keys of an index or config.
        wanted: `os/architecture` or `os/architecture/variant`.

    Returns:
        Whether it is. A name without variant matches all variants.
    """
    want = _parse(wanted)
    if platform.get("os") != want["os"] or platform.get("architecture") != want["architecture"]:
        return False
    return not want["variant"] or _variant(platform) == _variant(want)

def choose(entries, wanted):
    """Returns the images of an index for a platform.

    Args:
        entries: list of pairs: platform as a dict, and digest.
        wanted: `os/architecture` or `os/architecture/variant`.

    Returns:
        List of digests. If several match, an exact match counts.
    """
    found = [digest for platform, digest in entries if matches(platform, wanted)]
    if len(found) < 2:
        return found
    exact = [digest for platform, digest in entries if platform_name(platform) == wanted]
    return exact or found
