#!/bin/sh
# Create .venv and install StepCoder with its pinned dependencies; a second run finds them and does nothing.
#
#   deploy/install/install.sh          cpu or gpu, whichever this machine has
#   STEPCODER_EXTRA=gpu deploy/install/install.sh
#   deploy/install/install.sh bench    also what the benchmarks compare with
#
# PYTHON names the interpreter to build the environment from (3.11 or 3.12; default: python3).
set -eu
cd "$(dirname "$0")/../.."

die() { echo "install: $*" >&2; exit 1; }

if [ -z "${STEPCODER_EXTRA:-}" ]; then
    if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
        STEPCODER_EXTRA=gpu
    else
        STEPCODER_EXTRA=cpu
    fi
fi
constraints=deploy/install/constraints-$STEPCODER_EXTRA.txt
[ -f "$constraints" ] || die "STEPCODER_EXTRA=$STEPCODER_EXTRA: choose cpu or gpu"

uv_version=0.13.9
stamp=.venv/.stepcoder-installed
want=$(cat pyproject.toml "$constraints" deploy/install/overrides-cpu.txt deploy/install/install.sh | cksum)
if [ $# = 0 ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
    exit 0
fi

python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 || die "no '$python' on the PATH; install Python 3.11 or name one: PYTHON=/path/to/python3.11 make ..."
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
    || die "$("$python" -V) is not supported: StepCoder needs Python 3.11 or 3.12 (PYTHON=/path/to/python3.11 make ...)"
"$python" -c 'import ensurepip, venv' 2>/dev/null \
    || die "$python has no venv module; on Debian: apt-get install python3-venv"

echo "install: .venv with $("$python" -V), extra '$STEPCODER_EXTRA', pinned by $constraints"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"

extras=$STEPCODER_EXTRA,dev${1:+,$1}
# The clients of the sinks allow older pillow, packaging and protobuf than what is pinned, and work with it.
sinks=$([ "${1:-}" != sinks ] || echo yes)
# With bytecode, which containers often forbid to write later: without it each actor compiles vLLM anew,
# which takes half a minute.
install() {
    .venv/bin/uv pip install --python .venv/bin/python --constraint "$constraints" --compile-bytecode \
        ${sinks:+--override "$constraints"} --editable ".[$extras]" "$@"
}
# uv does not read pip's settings: hand it the machine's local wheels, if it has any.
[ -z "${PIP_FIND_LINKS:-}" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$PIP_FIND_LINKS}"
if [ "$STEPCODER_EXTRA" = cpu ]; then
    # The CPU build of torch lies among the machine's own wheels or, where it does not, on PyTorch's index.
    install --override deploy/install/overrides-cpu.txt >.venv/install.log 2>&1 \
        || install --override deploy/install/overrides-cpu.txt --torch-backend cpu \
        || { echo "--- the first attempt, without PyTorch's index, said:" >&2
             tail -n 20 .venv/install.log >&2
             die "the dependencies could not be installed; see above and .venv/install.log"; }
else
    install || die "the dependencies could not be installed; see above"
fi
echo "$want" >"$stamp"
echo "install: done ($(du -sh .venv | cut -f1) in .venv)"
