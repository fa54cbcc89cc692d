#!/usr/bin/env bash
# Train with several processes: one a GPU, or on a machine without GPUs as many as asked for (gloo).
set -euo pipefail

if [ "$#" -lt 2 ]; then
    cat >&2 <<USAGE
usage: $0 CONFIG GPUS [arguments of tools/train.py]

  $0 configs/rc3/pretrain_tiny.py 8
  $0 configs/rc3/pretrain_tiny.py 8 --amp --resume
  NNODES=2 NODE_RANK=0 MASTER_ADDR=node0 $0 configs/rc3/pretrain_tiny.py 8     # on node0; NODE_RANK=1 on the other

environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500), PYTHON (python), OMP_NUM_THREADS
USAGE
    exit 2
fi

CONFIG=$1
GPUS=$2
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
    "$HERE/train.py" "$CONFIG" --launcher pytorch "${@:3}"
