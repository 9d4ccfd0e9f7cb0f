#!/usr/bin/env bash
# Writes .env with secrets of this installation's own. One that is there stays as it is.
set -euo pipefail
cd "$(dirname "$0")"
if [ -e .env ]; then echo "setup: .env is there already"; exit 0; fi
umask 077
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
{
  for name in HUB_TOKEN INFLUX_TOKEN POSTGRES_PASSWORD INFLUX_PASSWORD GRAFANA_PASSWORD; do echo "$name=s$(random)"; done
  echo "PROMETHEUS_TOKEN=none" # of a viewer, once there are users: faultline token add
} > .env
echo "setup: wrote .env"
