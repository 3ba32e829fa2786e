#!/bin/sh
# Make the sandbox image's root file system from Debian packages: Debian trixie, Python 3.13, no more.
#
#   build.sh OUTPUT.tar      (root, on a Debian-like machine; about 40 s)
#
# For machines that reach a Debian mirror but no image registry; elsewhere the Dockerfile beside this
# file makes a similar image from the official Python image. `sandbox.backends.docker_image` runs one
# of the two and imports the result. The mirror is the one that this machine's own apt uses;
# STEPCODER_DEBIAN_MIRROR names another.
set -eu

SUITE=trixie
PACKAGES=python3-minimal,libpython3-stdlib

fail() {
    printf 'sandbox image: %s\n' "$1" >&2
    exit 1
}

[ "$#" = 1 ] || fail "usage: $0 OUTPUT.tar"
[ "$(id -u)" = 0 ] || fail "debootstrap needs root: run as root, or build from the Dockerfile (image_source: registry)"
output="$1"

if ! command -v debootstrap >/dev/null; then
    command -v apt-get >/dev/null || fail "debootstrap is missing and there is no apt-get to install it"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends debootstrap; } >&2 ||
        fail "could not install debootstrap: install it by hand and try again"
fi

# The repository that apt takes Debian's own main archive from (not security, not third parties).
apt_mirror() {
    # shellcheck disable=SC2016 # apt-get expands these, not the shell
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "Debian" && NF == 2 { print $1; exit }'
}
mirror="${STEPCODER_DEBIAN_MIRROR:-$(apt_mirror)}"
[ -n "$mirror" ] || fail "no Debian mirror among this machine's apt sources ('apt-get update' first?): set STEPCODER_DEBIAN_MIRROR"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
root="$work/root"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"
debootstrap --variant=minbase --include="$PACKAGES" --keyring="$keyring" "$SUITE" "$root" "$mirror" \
    >"$work/log" 2>&1 || fail "debootstrap failed; its last lines:
$(tail -n 5 "$work/log")"

# No file in the image may raise privileges, and files that no program reads are left out.
find "$root" -xdev -type f -perm /6000 -exec chmod ug-s {} +
rm -rf "$root"/var/cache/apt "$root"/var/lib/apt/lists "$root"/usr/share/doc "$root"/usr/share/man \
    "$root"/usr/share/locale "$root"/usr/share/info "$root"/var/log "$root"/etc/apt "$root"/root
mkdir -p "$root/run/stepcoder"
# Compiled here, as nothing can be written later: otherwise every import would compile anew.
chroot "$root" sh -c 'python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.*' >&2 ||
    fail "the image's standard library does not compile"
chroot "$root" python3 -I -c 'import sys; sys.monitoring; sys.exit(sys.version_info < (3, 12))' ||
    fail "the image's Python does not work"

tar --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -C "$root" -cf "$output.part" .
mv "$output.part" "$output"
