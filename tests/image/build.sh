#!/bin/bash
# Builds the image without a Docker engine, as root on Debian: build.sh [SOURCE [TAG]]
#
# The base is made here, of Debian bookworm and its python3, because no registry of images is
# needed that way. Where packages come from is this machine's business: Debian's mirror is read from
# apt and the package index from pip, when this runs, and neither ends up in the image.
set -euo pipefail

source=$(realpath "${1:-$(dirname "$0")/../..}")
tag=${2:-segment-bridge:test}
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
base=localhost/segment-bridge-base:bookworm

install_tools() {
    local missing=()
    for tool in mmdebstrap buildah podman runc; do
        command -v "$tool" > /dev/null || missing+=("$tool")
    done
    ((${#missing[@]})) || return 0
    apt-get -o DPkg::Lock::Timeout=300 update
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        install --yes --no-install-recommends "${missing[@]}"
}

# The Debian mirror of this machine, one `deb` line for each suite.
debian_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' | sort --unique
}

# A root file system with no more than Python in it, then an image of nothing but that.
make_base() {
    local context=$work/base
    buildah inspect --type image "$base" > /dev/null 2>&1 && return
    [[ -n $(debian_sources) ]] || apt-get -o DPkg::Lock::Timeout=300 update
    mkdir -p "$context"
    apt-config dump Acquire | { grep -E '^Acquire::(Check-|Retries|https?::)' || true; } > "$work/apt.conf"
    debian_sources | mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
        --aptopt="$work/apt.conf" \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --customize-hook='rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/apt.conf.d/99mmdebstrap' \
        bookworm "$context/root.tar" -
    printf 'FROM scratch\nADD root.tar /\n' \
        | buildah bud --isolation chroot --tag "$base" --file - "$context"
}

# pip's own configuration, as one file; and the files and folders of this machine that it names.
write_pip_conf() {
    python3 -m pip config list | python3 "$(dirname "$0")/pip_conf.py" "$work/pip.conf"
}

main() {
    install_tools
    make_base
    buildah rmi "$tag" > /dev/null 2>&1 || true # the one of last time
    local paths volumes=()
    paths=$(write_pip_conf)
    for path in $paths; do volumes+=(--volume "$path:$path:ro"); done
    buildah bud --isolation chroot --format docker --layers=false --build-arg "BASE=$base" \
        --secret "id=pip.conf,src=$work/pip.conf" "${volumes[@]}" --tag "$tag" "$source"
    podman image inspect --format "built $tag: {{.Size}} bytes, of these {{len .RootFS.Layers}} layers" "$tag"
    podman image inspect --format "the base alone: {{.Size}} bytes" "$base"
}

main
