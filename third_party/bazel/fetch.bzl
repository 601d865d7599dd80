"""What every archive has in common: fetched by a package client of this machine, believed only with the right sha256.

The clients (apt, pip, go) know the mirrors, proxies and credentials of the machine, so no address is written here. What
they bring goes through Bazel's downloader as a local file, which checks the hash and keeps the archive in the
repository cache; an archive that is there, or in third_party/dist, is not fetched again.
"""

def fetch(rctx, name, sha256, download, output = None):
    """Brings one pinned archive into the repository.

    Args:
      rctx: repository context.
      name: file name of the archive, for third_party/dist and messages.
      sha256: expected sha256, in hex.
      download: function without arguments that fetches the archive and returns its path.
      output: where to put it in the repository, the name if not given.

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
    """Runs a package client; when it fails, so does the repository, with the client's own last words.

    Args:
      rctx: repository context.
      what: what is being fetched, for the message.
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
