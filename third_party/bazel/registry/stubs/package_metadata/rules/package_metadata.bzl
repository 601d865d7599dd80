"""A stub of the macro that gazelle writes into the BUILD file of every Go module."""

def package_metadata(name, purl, **kwargs):  # buildifier: disable=unused-variable
    """Defines an empty target in place of the metadata of a package.

    Args:
      name: name of the target.
      purl: package URL, ignored.
      **kwargs: common attributes.
    """

    # Overrides the default of the package, which is this target.
    native.filegroup(name = name, applicable_licenses = [], **kwargs)
