#!/bin/bash
# A study on machines of SLURM: sbatch [options of sbatch] deploy/slurm.sh STUDY OUT
# OUT lies on a file system that all machines see. Submitted again, the study goes on; at its time
# limit the job does that itself. docs/clusters.md says what else there is to know.
#SBATCH --job-name=task-order-sweep
#SBATCH --nodes=2
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --ntasks-per-node=1
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail
study=${1:?usage: sbatch deploy/slurm.sh STUDY OUT} out=${2:?usage: sbatch deploy/slurm.sh STUDY OUT}
nodes=$SLURM_JOB_NUM_NODES
cpus=${SLURM_CPUS_PER_TASK:-1}
gpus=${SLURM_GPUS_ON_NODE:-0}
# `ray symmetric-run` refuses to start where another job of yours runs Ray on the same machine, and
# ends that one too when it stops; so each part is started here, with ports and a folder of its own.
shift_by=$((SLURM_JOB_ID % 4000))
port=$((20000 + shift_by)) client_port=$((24000 + shift_by)) dashboard_port=$((28000 + shift_by))
host=$(python -c 'import ray.util; print(ray.util.get_node_ip_address())')
address=$host:$port
temporary=/tmp/ray-$SLURM_JOB_ID  # short: sockets in it have names of at most 107 characters
# Others on the network cannot use this Ray without the token.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN

ray_on_each=(--block --temp-dir="$temporary" --num-cpus="$cpus" --num-gpus="$gpus"
    --min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0
    --disable-usage-stats)
# This script runs on the first machine.
srun --relative=0 --nodes=1 --ntasks=1 --cpus-per-task="$cpus" \
    ray start --head --node-ip-address="$host" --port="$port" --include-dashboard=true \
    --dashboard-port="$dashboard_port" --ray-client-server-port="$client_port" "${ray_on_each[@]}" &
parts=($!)
finish() {
    kill "${parts[@]}" 2> /dev/null || true
    wait
    srun --nodes="$nodes" --ntasks="$nodes" rm -rf "$temporary"
}
trap finish EXIT

until ray health-check --address "$address" 2> /dev/null; do
    kill -0 "${parts[0]}" 2> /dev/null || { echo "Ray did not start on $(hostname)." >&2; exit 1; }
    sleep 2
done
if ((nodes > 1)); then
    srun --relative=1 --nodes=$((nodes - 1)) --ntasks=$((nodes - 1)) --cpus-per-task="$cpus" \
        ray start --address="$address" "${ray_on_each[@]}" &
    parts+=($!)
    # A study with `lanes: {count: auto}` counts the machines that are there as it starts.
    until [ "$(python -c 'import sys, ray
ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(sum(node["Alive"] for node in ray.nodes()))' "$address")" = "$nodes" ]; do
        kill -0 "${parts[1]}" 2> /dev/null || { echo "Ray did not start everywhere." >&2; exit 1; }
        sleep 2
    done
fi

# Stages in training go on from their last checkpoint, at most lanes.checkpoint_minutes (15) old.
stopped=no driver=""
stop() {
    trap "" TERM
    stopped=yes
    [ -z "$driver" ] || kill -TERM "$driver" 2> /dev/null || true
}
trap stop TERM
sweep run "$study" --address "$address" --out "$out" &
driver=$!
[ "$stopped" = no ] || kill -TERM "$driver"  # told to stop just before
code=0
wait "$driver" || code=$?
if [ "$stopped" = yes ]; then
    again=0
    wait "$driver" || again=$?  # the signal has ended the first `wait`, not the study
    [ "$again" = 127 ] || code=$again  # unless that had just ended by itself
fi

# SLURM sends the same signal shortly before the time is up and when the job is cancelled; then the
# job is no longer RUNNING.
state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T 2> /dev/null) || state=""
if [ "$stopped" = yes ] && [ "$state" = RUNNING ]; then
    echo "The time is up; the job is put back into the queue."
    scontrol requeue "$SLURM_JOB_ID" ||
        echo "SLURM does not take it back; submit it again, and the study goes on." >&2
fi
exit "$code"
