#!/bin/sh
# Guts, scenario 1 of its guide: the same server with a new disk. guts-node and Nodekeep are installed, and the user guts is there.
#
# REPOSITORY  where the backups are: a folder, s3://…
# NODE        the node's name; guts unless you say otherwise
#
# What follows the script's name goes to `nodekeep restore`. A validator whose votes are lost is refused (exit code 12): wait until the network
# has passed what it may have signed, and say so: --accept-rollback "REASON".
set -eu
node=${NODE:-guts}
repository=${REPOSITORY:?set it to the address of the repository}

nodekeep restore "$node" --repo "$repository" --yes "$@"
nodekeep status "$node" --wait-sync
