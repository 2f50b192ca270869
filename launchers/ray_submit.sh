#!/usr/bin/env bash
# Submit a run to a Ray cluster as a job: the coordinator runs on the cluster, and this terminal may close.
#
#   launchers/ray_submit.sh http://HEAD:8265 RUN.yaml [key=value ...]
#
# HEAD is the head's dashboard. Where the cluster asks for a token, it is taken from RAY_AUTH_TOKEN,
# RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token, with RAY_AUTH_MODE=token. RUN.yaml is named from the repository's
# root, which is sent along, so that the cluster runs this code; data and output_dir are paths that all
# machines of the cluster share. `ray job stop` lets the run write a checkpoint.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 http://HEAD:8265 RUN.yaml [key=value ...]" >&2
    exit 2
fi
address=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)

# What the job needs that is no part of the code; the wait is that of `ray job stop` before it kills.
runtime_env='{"excludes": ["/runs", "/build", "/dist", "*.egg-info"], "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "180"}}'

exec ray job submit --address "$address" --working-dir "$root" --runtime-env-json "$runtime_env" \
    -- python -m distributed_hbt.cli submit "$@" --address auto
