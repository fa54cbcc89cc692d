#!/usr/bin/env bash
# Train on a Slurm cluster: srun starts one process a GPU.
set -euo pipefail

if [ "$#" -lt 4 ]; then
    cat >&2 <<USAGE
usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]

  $0 gpu tiny configs/rc3/pretrain_tiny.py work_dirs/tiny
  GPUS=16 SRUN_ARGS='--time=2-0 --qos=long' $0 gpu tiny configs/rc3/pretrain_tiny.py work_dirs/tiny --amp --resume

environment: GPUS in all (8), GPUS_PER_NODE (8, at most GPUS), CPUS_PER_TASK (5), SRUN_ARGS, MASTER_PORT (29500),
PYTHON (python), OMP_NUM_THREADS (1)
USAGE
    exit 2
fi

PARTITION=$1
JOB_NAME=$2
CONFIG=$3
WORK_DIR=$4
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
read -ra EXTRA <<< "${SRUN_ARGS:-}"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}"

exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" \
    --kill-on-bad-exit=1 \
    ${EXTRA[@]+"${EXTRA[@]}"} \
    "${PYTHON:-python}" -u "$HERE/train.py" "$CONFIG" --work-dir "$WORK_DIR" --launcher slurm "${@:5}"
