#!/bin/sh
# Brings newer releases of RabbitMQ than this Debian has: trees of Debian's next releases, out of
# which the private nodes run their programs. Nothing outside the cache is touched.
#
#   tests/nodes/trees.sh [SUITE ...]     trixie (RabbitMQ 4.0) unless given; sid has the newest
#
# The trees stand in $ROUTEWRIGHT_TREES, or in ~/.cache/routewright/trees.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
trees=${ROUTEWRIGHT_TREES:-${XDG_CACHE_HOME:-$HOME/.cache}/routewright/trees}

# Says why there is no tree: a failure in CI, a remark on a person's machine.
without() {
    if [ -n "${CI:-}" ]; then
        echo "No tree of $1: $2." >&2
        exit 1
    fi
    echo "No tree of $1: $2; tests on newer releases of RabbitMQ will be skipped."
    exit 0
}

for suite in "${@:-trixie}"; do
    tree="$trees/$suite"
    [ ! -x "$tree/usr/lib/rabbitmq/bin/rabbitmq-server" ] || continue
    [ "$(id -u)" = 0 ] || without "$suite" "only root may make one, with debootstrap"
    if ! command -v debootstrap > /dev/null; then
        command -v apt-get > /dev/null || without "$suite" "debootstrap is not installed"
        echo "Installing debootstrap"
        { apt-get update && apt-get install -y --no-install-recommends debootstrap; } \
            > /dev/null 2>&1 < /dev/null || without "$suite" "apt-get cannot install debootstrap"
    fi

    echo "Making a tree of Debian's $suite with RabbitMQ (about a minute, 400 MB)"
    mkdir -p "$trees"
    # Made beside its place and moved there: a tree that was cut off is never taken for a whole one.
    making=$(mktemp -d "$trees/.making-XXXXXX")
    trap 'rm -rf "$making"' EXIT
    trap 'exit 1' HUP INT TERM
    if ! debootstrap --variant=minbase --include=rabbitmq-server "$suite" "$making/$suite" \
        > "$making/log" 2>&1 < /dev/null; then
        tail -n 20 "$making/log" >&2
        without "$suite" "debootstrap failed, see above"
    fi
    rm -rf "$making/$suite"/var/cache/apt/archives/*.deb "$tree"
    mv "$making/$suite" "$tree"
    rm -rf "$making"
done
