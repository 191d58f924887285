#!/bin/sh
# Sees to it that RabbitMQ and Redis are on the machine: installs Debian's packages where it may,
# else says what will happen without them. The services are left disabled and not started.
set -eu

# Not in an ordinary user's path, on Debian.
PATH="$PATH:/usr/sbin"

missing=
command -v rabbitmq-server > /dev/null || missing="$missing rabbitmq-server"
command -v redis-server > /dev/null || missing="$missing redis-server"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    if [ -n "${CI:-}" ]; then outcome="fail"; else outcome="be skipped"; fi
    echo "Not installed:$missing (only root may, with apt-get); tests that need them will $outcome."
    exit 0
fi

# Maintainer scripts ask policy-rc.d whether they may start a service; 101 is "no".
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
restore() {
    rm -f "$log" "$policy"
    [ ! -e "$policy.routewright" ] || mv "$policy.routewright" "$policy"
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
[ ! -e "$policy" ] || mv "$policy" "$policy.routewright"
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod +x "$policy"

echo "Installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of words
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } \
    > "$log" 2>&1 < /dev/null; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install$missing; see above." >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
fi

# Nor at the next boot: the machine's owner asked for tests, not for servers.
for service in $missing; do
    update-rc.d "$service" disable > /dev/null 2>&1 || true
done
