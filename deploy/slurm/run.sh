#!/bin/bash
# Train on Slurm: a Ray cluster on the nodes of this job, the run on its first node, and nothing left behind.
#
#   sbatch --nodes=2 --gpus-per-node=8 --cpus-per-task=64 --time=24:00:00 deploy/slurm/run.sh PROFILE [--section.key VALUE ...]
#
# Submitted from a checkout that every node sees, with its .venv (make install). Environment:
#   SANDBOX_NODES   last nodes of the job that run programs, and nothing else (default: 1; with one node: that node)
#   SANDBOX_UNITS   sandbox workers on each of them (default: 4); pool.workers must not exceed their product
#   START_TIMEOUT   longest wait for the nodes to join [seconds] (default: 300)
#SBATCH --job-name=stepcoder
#SBATCH --ntasks-per-node=1
#SBATCH --output=stepcoder-%j.log
# Two minutes before the time limit: the run ends in order, while its nodes are still there.
#SBATCH --signal=B:TERM@120
set -euo pipefail

fail() {
    echo "slurm: $1" >&2
    exit "${2:-1}"
}

[ $# -ge 1 ] || fail "usage: sbatch [OPTION...] deploy/slurm/run.sh PROFILE [--section.key VALUE ...]" 2
profile=$1
shift
# Slurm begins a job again whose node failed, or that it preempted: the run goes on, or begins again without a checkpoint.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
    [[ " $* " == *" --resume "* ]] || set -- "$@" --resume
    [[ " $* " == *" --overwrite "* ]] || set -- "$@" --overwrite
fi
[ -n "${SLURM_JOB_ID:-}" ] || fail "not in a Slurm job: submit it with sbatch" 2
# sbatch runs a copy of this script: the checkout is where it was submitted.
cd "${SLURM_SUBMIT_DIR:?}"
[ -x .venv/bin/stepcoder ] || fail "$PWD has no .venv/bin/stepcoder: run make install there, and submit from the checkout" 2
[ -f "$profile" ] || fail "$profile: no such profile in $PWD" 2
[ -z "${SLURM_GPUS_ON_NODE:-}" ] || gpus=$SLURM_GPUS_ON_NODE
gpus=${gpus:-0}
cpus=${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}
PATH=$PWD/.venv/bin:$PATH

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
count=${#nodes[@]}
sandboxes=${SANDBOX_NODES:-1}
units=${SANDBOX_UNITS:-4}
[ "$sandboxes" -ge 1 ] || fail "SANDBOX_NODES=$sandboxes: programs must run somewhere: at least 1" 2
[ "$count" -eq 1 ] || [ "$sandboxes" -lt "$count" ] || fail "SANDBOX_NODES=$sandboxes leaves none of the $count nodes for models" 2

head=${nodes[0]}
# The first address that other nodes can reach: the name may stand for an IPv6 address or a loopback one before it, or alone.
address=$(srun --nodes=1 --ntasks=1 --overlap --nodelist="$head" \
    sh -c 'hostname --ip-address; hostname --all-ip-addresses || true' | tr -s ' ' '\n' | awk '
        NR == 1 { first = $1 }
        /^[0-9.]+$/ && !/^127\./ && !found { found = $1 }
        END { print found ? found : first }')
# Jobs that share a node must not share ports or folders: a hundred ports for each job.
port=$((20000 + SLURM_JOB_ID % 400 * 100))
export RAY_ADDRESS=$address:$port
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
temp=/tmp/stepcoder-$SLURM_JOB_ID

started=()
stop() {
    trap - EXIT
    [ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
}
trap stop EXIT
trap 'exit 143' TERM INT

# start NODE ARGUMENT...: Ray on one node, until this job ends
start() {
    local node=$1
    shift
    srun --nodes=1 --ntasks=1 --overlap --nodelist="$node" --cpus-per-task="$cpus" ray start --block --disable-usage-stats \
        --min-worker-port=0 --max-worker-port=0 "$@" &
    started+=($!)
}

nodes_alive() {
    python - <<'PYTHON' 2>/dev/null || echo 0
import ray

ray.init(logging_level="ERROR", log_to_driver=False)
print(sum(node["Alive"] for node in ray.nodes()))
PYTHON
}
deadline=$((SECONDS + ${START_TIMEOUT:-300}))

# wait_for COUNT: until so many nodes have joined; one that fails to start ends the job
wait_for() {
    until [ "$(nodes_alive)" -ge "$1" ]; do
        [ "$SECONDS" -lt "$deadline" ] || fail "not all of $count nodes joined $RAY_ADDRESS within ${START_TIMEOUT:-300} s (START_TIMEOUT)"
        for pid in "${started[@]}"; do
            kill -0 "$pid" 2>/dev/null || fail "ray start ended on a node of ${nodes[*]}: see above"
        done
        sleep 0.5 # a look takes seconds itself
    done
}

for i in "${!nodes[@]}"; do
    role=(--num-gpus="$gpus" --num-cpus="$cpus")
    agent=(--dashboard-agent-listen-port=$((port + 2 + i % 98)))
    if [ "$count" -eq 1 ]; then
        role+=(--resources="{\"sandbox\": $units}")
    elif [ "$i" -ge $((count - sandboxes)) ]; then
        role=(--num-gpus=0 --num-cpus=0 --resources="{\"sandbox\": $units}")
    fi
    if [ "$i" -eq 0 ]; then
        start "$head" --head --node-ip-address="$address" --port="$port" --include-dashboard=false \
            --ray-client-server-port=$((port + 1)) --temp-dir="$temp" "${agent[@]}" "${role[@]}"
        wait_for 1 # a node that comes before the head is there gives up
    else
        start "${nodes[$i]}" --address="$RAY_ADDRESS" "${agent[@]}" "${role[@]}"
    fi
done
[ "$count" -eq 1 ] || wait_for "$count"

echo "slurm: $count nodes at $RAY_ADDRESS; programs run on ${nodes[*]:$((count > 1 ? count - sandboxes : 0))}"
# In the background, for a shell that waits for a program in the foreground puts its traps off.
stepcoder train --config "$profile" "$@" &
run=$!
trap 'kill -TERM "$run" 2>/dev/null || true' TERM INT
status=0
wait "$run" || status=$?
while kill -0 "$run" 2>/dev/null; do # a signal ended the wait, and not the run
    status=0
    wait "$run" || status=$?
done
[ "$status" -eq 0 ] || exit "$status"
