#!/usr/bin/env bash
# Submit a run to a Ray cluster as a job: the coordinator runs on the cluster, and this terminal may close.
#
#   launchers/ray_submit.sh http://HEAD:8265 RUN.yaml [key=value ...]
#
# HEAD is the head's dashboard. Where the cluster asks for a token, it is taken from RAY_AUTH_TOKEN,
# RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token, with RAY_AUTH_MODE=token. RUN.yaml is named from the repository's
# root, which is sent along, so that the cluster runs this code; data and output_dir are paths that all
# machines of the cluster share. `ray job stop` lets the run write a checkpoint. Ends with 0 where the run is
# done, 1 where it failed or was stopped, 2 where it could not be submitted.
set -euo pipefail

fail() {
    echo "hbt: error: $1" >&2
    exit 2
}
usage="launchers/ray_submit.sh http://HEAD:8265 RUN.yaml [key=value ...]"
[[ $# -ge 2 ]] || fail "command line: an address and a run file are needed; $usage"
address=$1
shift
[[ $address =~ ^https?:// ]] || fail "command line: $address is no address of a dashboard; $usage"
command -v ray >/dev/null || fail "environment: there is no ray; activate hbt's environment"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Mistakes are told here, at once, and not by a job. A run file may also lie on the cluster alone.
[[ ! -e $1 ]] || python -m distributed_hbt.cli show-config "$@" >/dev/null || exit 2
python -c '
import sys
from ray.job_submission import JobSubmissionClient
try:
    JobSubmissionClient(sys.argv[1])
except Exception as error:
    reason = " ".join(str(error).split())
    sys.exit(f"hbt: error: {sys.argv[1]}: no job can be submitted ({reason}); check the address and the token")
' "$address" || exit 2

# What the job needs that is no part of the code; the wait is that of `ray job stop` before it kills.
runtime_env='{"excludes": ["/runs", "/build", "/dist", "*.egg-info"], "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "180"}}'

job=hbt-$(date +%Y%m%d-%H%M%S)-$RANDOM
ray job submit --address "$address" --submission-id "$job" --working-dir . --runtime-env-json "$runtime_env" \
    -- python -m distributed_hbt.cli submit "$@" --address auto
# Ray ends with 0 for a job that was stopped, too.
status=$(python -c '
import sys
from ray.job_submission import JobSubmissionClient
print(JobSubmissionClient(sys.argv[1]).get_job_status(sys.argv[2]).value)
' "$address" "$job")
[[ $status == SUCCEEDED ]] || exit 1
