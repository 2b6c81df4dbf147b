#!/bin/sh
# GATK from its jars, with the one option of the official launcher that lsdata uses.
options=""
if [ "$1" = "--java-options" ]; then options=$2; shift 2; fi
here=$(dirname "$(readlink -f "$0")")
# shellcheck disable=SC2086 - several options are several words
exec java $options -cp "$here/../gatk/lib/*" org.broadinstitute.hellbender.Main "$@"
