#!/bin/sh
# Build the cluster images that can be built here, and say what was skipped and why (`make images`).
#
#   deploy/images/build.sh [cpu] [gpu]     both by default
#
# BASE       image to build from (default: that of the Dockerfile, pinned by its digest)
# IMAGE      name of the images, tagged VERSION-cpu and VERSION-gpu (default: stepcoder)
# NETWORK    network of the build's steps, as `docker build --network` takes it
# TORCH_BACKEND  where the CPU build of torch comes from (default: cpu, PyTorch's own index; auto: the base's wheels)
set -eu
cd "$(dirname "$0")/../.."

base=${BASE:-$(sed -n 's/^ARG BASE=//p' deploy/images/Dockerfile)}
image=${IMAGE:-stepcoder}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
[ $# -gt 0 ] || set -- cpu gpu
for extra in "$@"; do
    [ -f "deploy/install/constraints-$extra.txt" ] || { echo "images: $extra: choose cpu or gpu" >&2; exit 2; }
done

skip() {
    echo "images: skipped $*: $reason"
    exit 0
}

command -v docker >/dev/null 2>&1 || { reason="there is no docker command: install Docker"; skip "$@"; }
docker version >/dev/null 2>&1 || { reason="no Docker engine answers: make engine"; skip "$@"; }
if ! docker image inspect "$base" >/dev/null 2>&1 && ! timeout 300 docker pull --quiet "$base" >/dev/null 2>&1; then
    reason="its base $base is not here and cannot be pulled: BASE=IMAGE names another (Python 3.11 or 3.12, Debian)"
    skip "$@"
fi

for extra in "$@"; do
    tag=$image:$version-$extra
    torch=auto
    [ "$extra" = gpu ] || torch=${TORCH_BACKEND:-cpu}
    echo "images: building $tag from $base"
    docker build --file deploy/images/Dockerfile --tag "$tag" ${NETWORK:+--network "$NETWORK"} \
        --build-arg "BASE=$base" --build-arg "EXTRA=$extra" --build-arg "VERSION=$version" \
        --build-arg "TORCH_BACKEND=$torch" .
    echo "images: $tag: stepcoder $(docker run --rm --network none "$tag" stepcoder --version)"
done
