"""What gazelle writes into the build file of every Go module, without the meaning."""

def package_metadata(name, purl, **kwargs):  # buildifier: disable=unused-variable
    """Makes a target that says nothing about its package.

    Args:
      name: name of the target.
      purl: package URL, not used.
      **kwargs: common attributes.
    """

    # Not described by itself.
    native.filegroup(name = name, applicable_licenses = [], **kwargs)
