#!/usr/bin/env bash
# Test with several processes: one a GPU, or on a machine without GPUs as many as asked for (gloo).
set -euo pipefail

if [ "$#" -lt 3 ]; then
    cat >&2 <<USAGE
usage: $0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]

  $0 configs/rc3/pretrain_tiny.py work_dirs/pretrain_tiny/iter_600.pth 8
  $0 configs/rc3/pretrain_tiny.py work_dirs/pretrain_tiny/iter_600.pth 8 --form roi --out results.json
  NNODES=2 NODE_RANK=0 MASTER_ADDR=node0 $0 configs/rc3/pretrain_tiny.py CHECKPOINT 8     # on node0; NODE_RANK=1 on the other

environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500), PYTHON (python), OMP_NUM_THREADS
USAGE
    exit 2
fi

CONFIG=$1
CHECKPOINT=$2
GPUS=$3
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
THREADS=$(($(getconf _NPROCESSORS_ONLN) / GPUS))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((THREADS > 0 ? THREADS : 1))}
export PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}"

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$HERE/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
