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
)

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
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
