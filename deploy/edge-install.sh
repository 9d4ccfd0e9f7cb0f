#!/usr/bin/env bash
# Makes a small box (armv7, arm64; 256 MB) a site's gateway. Nothing is fetched: carry the binary and the certificates there.
#   edge-install.sh BINARY SITE GATEWAY HUB_URL [CERTIFICATES]
# CERTIFICATES holds ca.pem, GATEWAY.pem and GATEWAY-key.pem of "faultline certs". Running it again replaces the binary and
# keeps configuration and data. DESTDIR installs into a folder, without user and service.
set -euo pipefail
[ $# -ge 4 ] || { sed -n 2,6p "$0" >&2; exit 2; }
binary=$1 site=$2 gateway=$3 hub=$4 certs=${5:-} root=${DESTDIR:-}
for word in "$site" "$gateway"; do
  [[ $word =~ ^[A-Za-z0-9_-]+$ ]] || { echo "edge-install: $word: use letters, digits, - and _" >&2; exit 2; }
done
[[ $hub =~ ^[a-z]+://[A-Za-z0-9.:,/_-]+$ ]] || { echo "edge-install: $hub is no URL of a hub, such as wss://hub.example.com:4222" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
owner=()
if [ -z "$root" ]; then
  getent passwd faultline >/dev/null || useradd --system --user-group --home-dir /var/lib/faultline --no-create-home --shell /usr/sbin/nologin faultline
  owner=(-g faultline)
fi
install -D -m 0755 "$binary" "$root/usr/bin/faultline.new"
mv "$root/usr/bin/faultline.new" "$root/usr/bin/faultline"
install -D -m 0644 "$here/systemd/faultline.service" "$root/lib/systemd/system/faultline.service"
install -d -m 0750 "${owner[@]}" "$root/etc/faultline" "$root/etc/faultline/certs"
tls=
if [ -n "$certs" ]; then
  for f in ca.pem "$gateway.pem" "$gateway-key.pem"; do install -m 0640 "${owner[@]}" "$certs/$f" "$root/etc/faultline/certs/$f"; done
  tls=', tls: {ca_file: certs/ca.pem, cert_file: "certs/{gateway}.pem", key_file: "certs/{gateway}-key.pem"}'
fi
config=$root/etc/faultline/faultline.yaml
if [ ! -e "$config" ]; then
  cat > "$config" <<YAML
data: /var/lib/faultline
hub: {url: "$hub"$tls}
edge: {max_bytes: 1GiB, max_age: 168h}
metrics: {listen: "127.0.0.1:9120"}
gateways: [{id: $gateway, site: $site}] # devices come from the hub
YAML
  chmod 0640 "$config"
  [ -n "$root" ] || chgrp faultline "$config"
fi
env=$root/etc/faultline/faultline.env
if [ ! -e "$env" ]; then
  (umask 077; printf 'FAULTLINE_ARGS=-roles gateway -gateway %s\nGOMEMLIMIT=160MiB\nGOMAXPROCS=2\n' "$gateway" > "$env")
fi
[ -n "$root" ] || { systemctl daemon-reload; systemctl enable faultline; systemctl restart faultline; }
echo "edge-install: $gateway of site $site reports to $hub"
