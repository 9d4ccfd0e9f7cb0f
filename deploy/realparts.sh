#!/usr/bin/env bash
# Installs the real parts that the tests under the build tag "realparts" talk to, from the
# distribution's packages (Debian or Ubuntu, as root or with sudo): Mosquitto, mbpoll, libmodbus,
# pymodbus, PostgreSQL, Chromium with a font for Chinese. Running it again changes nothing.
set -euo pipefail

packages=(
  mosquitto mosquitto-clients # a broker we did not write
  mbpoll                      # a Modbus client we did not write
  libmodbus-dev gcc libc6-dev # a Modbus server we did not write, built from a few lines by the test
  python3 python3-pymodbus python3-serial python3-serial-asyncio # another one
  socat                       # pairs of pseudo-terminals for serial lines
  postgresql                  # the store for several machines; tests start a private cluster of their own
  chromium fonts-noto-cjk     # the console as people see it
  qemu-user-static            # starts the binaries for arm
  systemd dpkg                # judges the unit; makes the package
  iproute2 e2fsprogs          # networks to cut and disks to fill, of faultline chaos
  prometheus                  # promtool, which plays the tests of the rules for Prometheus
)

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
# InfluxDB 1.8 as it was released, from its own source: a server that we did not write. 1.8.3 is the newest
# that go install takes. Without Go or its proxy, faultline chaos uses the engine in our binary.
if ! command -v influxd >/dev/null && command -v go >/dev/null; then
  (cd / && GOFLAGS=-buildvcs=false GOBIN=/usr/local/bin go install -ldflags "-X main.version=1.8.3" github.com/influxdata/influxdb/cmd/influxd@v1.8.3) || echo "real parts: no influxd"
fi
if [ ${#missing[@]} -eq 0 ]; then
  echo "real parts: all installed"
  exit 0
fi
echo "real parts: installing ${missing[*]}"
sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# Services need not start: the tests run parts of their own, on ports of their own.
$sudo env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
