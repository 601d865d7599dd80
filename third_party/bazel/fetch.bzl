"""Fetches pinned archives with the package clients of this machine and verifies them by SHA-256.

The clients (apt, pip, go) have the mirrors, proxies and credentials of the machine, so this repository contains no addresses.
Bazel's downloader reads each archive as a local file: it checks the hash and stores the archive in the repository cache. An
archive in this cache or in third_party/dist is not fetched again.
"""

def fetch(rctx, name, sha256, download, output = None):
    """Puts one pinned archive into the repository.

    Args:
      rctx: repository context.
      name: file name of the archive, for third_party/dist and messages.
      sha256: expected sha256, in hex.
      download: function without arguments that fetches the archive and returns its path.
      output: path of the archive in the repository; the default is the name.

    Returns:
      Path of the verified archive in the repository.
    """
    output = output or name
    by_hand = rctx.path(Label("//third_party:BUILD.bazel")).dirname.get_child("dist", name)
    cached = rctx.path(rctx.getenv("KRABBY_REPOSITORY_CACHE", "/nonexistent")).get_child("content_addressable", "sha256", sha256, "file")
    if cached.exists:
        source = cached
    elif by_hand.exists:
        source = by_hand
    else:
        rctx.report_progress("fetching " + name)
        source = rctx.path(download())
    result = rctx.download(url = "file://{}".format(source), output = output, sha256 = sha256, allow_fail = True)
    if not result.success:
        fail("{}: wrong sha256: expected {}, found {} in {}".format(name, sha256, _sha256(rctx, source), source))
    if source != cached and str(source).startswith(str(rctx.path(""))) and source != rctx.path(output):
        rctx.delete(source)
    return output

def _sha256(rctx, path):
    result = rctx.download(url = "file://{}".format(path), output = "unverified", allow_fail = True)
    return result.sha256 if result.success else "no file"

def run(rctx, what, arguments):
    """Runs a package client. If the client fails, the repository fails with the end of the client's output.

    Args:
      rctx: repository context.
      what: the file to fetch, for error messages.
      arguments: command line.

    Returns:
      Standard output of the client.
    """
    result = rctx.execute(arguments, timeout = 1800)
    if result.return_code:
        fail("{}: {} failed ({}): {}".format(
            what,
            arguments[0],
            result.return_code,
            (result.stderr or result.stdout).strip()[-2000:],
        ))
    return result.stdout
