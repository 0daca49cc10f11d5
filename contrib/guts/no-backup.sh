#!/bin/sh
# Guts, scenario 3 of its guide: there is no backup, and the network has the data. guts-node and Nodekeep are installed, and the user guts is there.
#
# CONFIG, DATA   folders of the configuration and of the data; /etc/guts and /var/lib/guts unless you say otherwise
# OLD_KEY        a file with the old key, if you have it; else a new one is made
# BOOTSTRAPPERS  whom to ask first, as YAML: '["KEY@HOST:9000"]'
# PEERS          the public keys of all validators, this one's too, as YAML: '["KEY", "KEY"]'. The set is fixed: with a new key the node is none
# API, P2P       addresses to listen at
# NODE, SERVICE  the node's name and its systemd unit
#
# guts-node has no keygen: a key is 32 random bytes in hexadecimal. Every key of each section of the configuration must be there, or the node ignores
# the whole file and writes to ./data.
set -eu
umask 077
node=${NODE:-guts}
config=${CONFIG:-/etc/guts}
data=${DATA:-/var/lib/guts}
api=${API:-127.0.0.1:8080}

mkdir -p "$config" "$data"
if [ -e "$config/config.yaml" ]; then
    echo "$config/config.yaml is there already, and is not overwritten" >&2
    exit 9
fi
key=$(cat "${OLD_KEY:-/dev/null}")
test -n "$key" || key=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
cat > "$config/config.yaml" <<EOF
api:
  addr: "$api"
  request_timeout_secs: 30
  max_body_size: 10485760
  max_connections: 1000
  cors_enabled: false
  cors_origins: []
p2p:
  enabled: true
  addr: "${P2P:-0.0.0.0:9000}"
  allowed_peers: ${PEERS:-[]}
  bootstrappers: ${BOOTSTRAPPERS:-[]}
  message_backlog: 1024
  mailbox_size: 1024
  timeout_secs: 10
  private_key: "$key"
consensus:
  enabled: true
  use_simplex_bft: true
  genesis_file: null
  block_time_ms: 2000
  max_txs_per_block: 1000
  max_block_size: 10485760
  mempool_max_txs: 10000
  mempool_ttl_secs: 600
  view_timeout_multiplier: 2.0
storage:
  data_dir: "$data"
  persistent: true
EOF
if [ "$(id -u)" = 0 ] && id guts > /dev/null 2>&1; then
    chown -R guts:guts "$config/config.yaml" "$data"
fi
nodekeep node add "$node" --profile guts --path "config=$config" --path "data=$data" --set "api=http://$api"
nodekeep node identity "$node"
systemctl start "${SERVICE:-guts-node}"
nodekeep status "$node" --wait-sync
echo "Push again what was only in the old node's memory: repositories and accounts do not come back from the network."
echo "Make a backup now: nodekeep backup $node"
