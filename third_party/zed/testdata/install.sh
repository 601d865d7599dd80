#!/bin/sh
echo "the installer ran" >&2
exit 1
