#!/bin/sh
# Shows the report that the first stage made, and what the second one found.
set -eu
echo "$GREETING $(id -un) in $(pwd):"
cat built.txt
echo "$(cat count.txt) notes:"
cat report.txt
