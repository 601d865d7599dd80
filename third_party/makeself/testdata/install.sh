#!/bin/sh
echo "an installer ran" >&2
exit 1
