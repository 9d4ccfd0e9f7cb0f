#!/usr/bin/env bash
# Makes a Debian package of a binary of deploy/build.sh: deploy/deb.sh BINARY ARCHITECTURE VERSION [DIRECTORY].
# Architectures as Debian names them: amd64, arm64, armhf. Configuration files that a person changed stay on an upgrade.
set -euo pipefail
[ $# -ge 3 ] || { sed -n 2,3p "$0" >&2; exit 2; }
binary=$(realpath "$1") arch=$2 version=${3#v} out=$(realpath "${4:-.}")
cd "$(dirname "$0")"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
install -D -m 0755 "$binary" "$root/usr/bin/faultline"
install -D -m 0644 systemd/faultline.service "$root/lib/systemd/system/faultline.service"
install -D -m 0640 debian/faultline.yaml "$root/etc/faultline/faultline.yaml"
install -D -m 0600 debian/faultline.env "$root/etc/faultline/faultline.env"
install -d "$root/usr/share/doc/faultline"
cp ../README.md ../docs/*.md "$root/usr/share/doc/faultline/"
install -d "$root/DEBIAN"
install -m 0755 debian/postinst debian/prerm "$root/DEBIAN/"
printf '/etc/faultline/faultline.yaml\n/etc/faultline/faultline.env\n' > "$root/DEBIAN/conffiles"
cat > "$root/DEBIAN/control" <<CONTROL
Package: faultline
Version: $version
Architecture: $arch
Maintainer: Faultline <maintainers@faultline.invalid>
Depends: passwd
Section: net
Priority: optional
Description: remote monitoring and predictive maintenance for installed equipment
 Gateways read equipment over Modbus and MQTT; rules raise alarms and tickets.
CONTROL
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/faultline_${version}_$arch.deb" >/dev/null
echo "$out/faultline_${version}_$arch.deb"
