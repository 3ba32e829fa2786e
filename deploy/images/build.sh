#!/bin/sh
# Build the images that can be built here, and say what was skipped and why (`make images`).
#
#   deploy/images/build.sh [cpu] [gpu] [sandbox]     all by default
#
# BASE       image to build cpu and gpu from (default: that of the Dockerfile, pinned by its digest)
# SANDBOX_BASE  the same of sandbox
# IMAGE      name of the images, tagged VERSION-cpu and VERSION-gpu (default: stepcoder), and IMAGE-sandbox:VERSION
# NETWORK    network of the build's steps, as `docker build --network` takes it
# STORES     libraries of object stores in cpu and gpu, for a runs_dir that is a URL: s3fs, gcsfs, adlfs (default: none)
# TORCH_BACKEND  where the CPU build of torch comes from (default: cpu, PyTorch's own index; auto: the base's wheels)
set -eu
cd "$(dirname "$0")/../.."

default_base() {
    sed -n 's/^ARG BASE=//p' "$1"
}
base=${BASE:-$(default_base deploy/images/Dockerfile)}
sandbox_base=${SANDBOX_BASE:-$(default_base sandbox/image/Dockerfile)}
image=${IMAGE:-stepcoder}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
[ $# -gt 0 ] || set -- cpu gpu sandbox
for variant in "$@"; do
    [ "$variant" = sandbox ] || [ -f "deploy/install/constraints-$variant.txt" ] ||
        { echo "images: $variant: choose cpu, gpu or sandbox" >&2; exit 2; }
done

skip() { # skip REASON VARIANT...
    reason=$1
    shift
    echo "images: skipped $*: $reason"
}

command -v docker >/dev/null 2>&1 || { skip "there is no docker command: install Docker" "$@"; exit 0; }
docker version >/dev/null 2>&1 || { skip "no Docker engine answers: make engine" "$@"; exit 0; }

is_here() {
    docker image inspect "$1" >/dev/null 2>&1 || timeout 300 docker pull --quiet "$1" >/dev/null 2>&1
}

build_cluster() { # build_cluster cpu|gpu
    tag=$image:$version-$1
    torch=auto
    [ "$1" = gpu ] || torch=${TORCH_BACKEND:-cpu}
    echo "images: building $tag from $base"
    docker build --file deploy/images/Dockerfile --tag "$tag" ${NETWORK:+--network "$NETWORK"} \
        --build-arg "BASE=$base" --build-arg "EXTRA=$1" --build-arg "VERSION=$version" \
        --build-arg "TORCH_BACKEND=$torch" --build-arg "STORES=${STORES:-}" .
    echo "images: $tag: stepcoder $(docker run --rm --network none "$tag" stepcoder --version)"
}

build_sandbox() {
    tag=$image-sandbox:$version
    if is_here "$sandbox_base"; then
        echo "images: building $tag from $sandbox_base"
        docker build --tag "$tag" ${NETWORK:+--network "$NETWORK"} --build-arg "BASE=$sandbox_base" sandbox/image
    elif [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then
        echo "images: building $tag from Debian's packages: $sandbox_base is not here and cannot be pulled"
        folder=$(mktemp -d)
        trap 'rm -rf "$folder"' EXIT
        sandbox/image/build.sh "$folder/root.tar"
        docker import "$folder/root.tar" "$tag" >/dev/null
    else
        skip "its base $sandbox_base is not here and cannot be pulled: SANDBOX_BASE=IMAGE names another, or be root on Debian" sandbox
        return
    fi
    echo "images: $tag: $(docker run --rm --network none "$tag" python3 --version)"
}

looked=
for variant in "$@"; do
    if [ "$variant" = sandbox ]; then
        build_sandbox
        continue
    fi
    if [ -z "$looked" ]; then
        looked=no
        ! is_here "$base" || looked=yes
    fi
    if [ "$looked" = yes ]; then
        build_cluster "$variant"
    else
        skip "its base $base is not here and cannot be pulled: BASE=IMAGE names another (Python 3.11 or 3.12, Debian)" "$variant"
    fi
done
