#!/bin/sh
# Compile the pinned dependency sets (deploy/install/constraints-{cpu,gpu}.txt) from pyproject.toml.
# Run by `make lock` after a change of dependencies; the install only reads the results.
set -eu
cd "$(dirname "$0")/../.."
uv=.venv/bin/uv
compile() { # compile EXTRA [OPTION...]
    extra=$1
    shift
    {
        echo "# Every package of extras '$extra', 'dev' and 'bench', pinned. Made by 'make lock'; do not edit."
        "$uv" pip compile --quiet pyproject.toml --extra "$extra" --extra dev --extra bench --python-version 3.11 \
            --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
    } >"deploy/install/constraints-$extra.txt.new"
    mv "deploy/install/constraints-$extra.txt.new" "deploy/install/constraints-$extra.txt"
    echo "deploy/install/constraints-$extra.txt: $(grep -c == "deploy/install/constraints-$extra.txt") packages"
}
if [ -n "${PIP_FIND_LINKS:-}" ]; then
    UV_FIND_LINKS=$PIP_FIND_LINKS compile cpu --override deploy/install/overrides-cpu.txt
else
    compile cpu --override deploy/install/overrides-cpu.txt --torch-backend cpu
fi
compile gpu
