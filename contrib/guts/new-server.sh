#!/bin/sh
# Guts, scenario 2 of its guide: a new server that is to be the same node. guts-node and Nodekeep are installed, and the user guts is there.
#
# REPOSITORY          where the backups are: a folder, s3://…
# NODEKEEP_WORDS_FILE the recovery words, unless this machine can open the repository already
# OLD_SERVER_IS_OFF   yes: the old server is off and stays off. Two nodes with one key can vote twice
# NODE                the node's name; guts unless you say otherwise
# EDIT                a command that changes the configuration (new addresses), with its path as the last argument
#
# What follows the script's name goes to `nodekeep restore`, as for new-disk.sh.
set -eu
node=${NODE:-guts}
repository=${REPOSITORY:?set it to the address of the repository}
test "${OLD_SERVER_IS_OFF:-}" = yes || { echo "Is the old server off for good? Then: OLD_SERVER_IS_OFF=yes" >&2; exit 2; }

if [ -n "${NODEKEEP_WORDS_FILE:-}" ]; then
    nodekeep init --from-words --repo "$repository"
fi
nodekeep node retire "$node" --from-repo --repo "$repository" --yes
if [ -n "${EDIT:-}" ]; then
    # Before the node starts with addresses of another server.
    nodekeep restore "$node" --repo "$repository" --yes --leave-stopped "$@"
    $EDIT "${CONFIG:-/etc/guts}/config.yaml"
    systemctl start "${SERVICE:-guts-node}"
else
    nodekeep restore "$node" --repo "$repository" --yes "$@"
fi
nodekeep status "$node" --wait-sync
