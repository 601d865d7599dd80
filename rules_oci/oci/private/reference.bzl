"""References to images in registries."""

def parse_image(image):
    """Parses the name of an image by docker's rules.

    Args:
        image: `registry/repository`, optionally with `http://` before and `:tag` and `@digest` behind. Without registry it is on Docker Hub.

    Returns:
        A struct of insecure, registry, repository, tag and digest. Missing parts are empty.
    """
    insecure = image.startswith("http://")
    image = image.removeprefix("http://").removeprefix("https://")
    image, _, digest = image.partition("@")
    tag = ""
    if ":" in image.split("/")[-1] and "/" in image or ":" in image and "/" not in image:
        image, _, tag = image.rpartition(":")
    first = image.split("/")[0]
    if "/" in image and ("." in first or ":" in first or first == "localhost"):
        registry, _, repository = image.partition("/")
    else:
        registry = "docker.io"
        repository = image if "/" in image else "library/" + image
    return struct(insecure = insecure, registry = registry, repository = repository, tag = tag, digest = digest)
