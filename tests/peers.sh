#!/bin/sh
# Installs the foreign programs that `cargo peers` runs, by name: Debian packages, whose daemons are not started, and PyPI
# packages in a virtual environment under target/peers.
set -eu
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Package and one of its programs. What is there already needs nobody's rights.
packages="
    logrotate:/usr/sbin/logrotate
    mariadb-server:/usr/sbin/mariadbd
    mosquitto:/usr/sbin/mosquitto
    mosquitto-clients:/usr/bin/mosquitto_pub
    nut-server:/lib/nut/upsd
    openssl:/usr/bin/openssl
    prometheus:/usr/bin/prometheus
    prometheus-node-exporter:/usr/bin/prometheus-node-exporter
    snmpd:/usr/sbin/snmpd
    socat:/usr/bin/socat
    victoria-metrics:/usr/bin/victoria-metrics
"
missing=
for package in $packages; do
    [ -e "${package#*:}" ] || missing="$missing ${package%%:*}"
done
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
    # Debian asks this file whether an installation may start daemons. We use the programs only.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    as_root apt-get update
    # Words of the list are packages.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
fi

[ -e target/peers/venv/bin/python ] || python3 -m venv target/peers/venv
target/peers/venv/bin/pip install --quiet --requirement tests/peers/requirements.txt

# The provider of OpenID Connect looks for its packages beside itself.
if ! command -v npm >/dev/null; then
    as_root apt-get update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends nodejs npm
fi
mkdir -p target/peers/oidc
cp tests/peers/oidc/* target/peers/oidc/
npm ci --prefix target/peers/oidc --ignore-scripts --no-audit --no-fund --loglevel=error
