#!/usr/bin/env bash
# Builds static binaries: deploy/build.sh [DIRECTORY [ARCHITECTURES]]. Architectures: amd64, arm64, armv7; all unless given.
# VERSION is what "faultline version" says; the revision unless given.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-dist}
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo devel)}
mkdir -p "$out"
for arch in ${2:-amd64 arm64 armv7}; do
  case $arch in
    amd64 | arm64) goarch=$arch goarm= ;;
    armv7) goarch=arm goarm=7 ;;
    *) echo "build: no architecture $arch: use amd64, arm64 or armv7" >&2; exit 2 ;;
  esac
  CGO_ENABLED=0 GOOS=linux GOARCH=$goarch GOARM=$goarm go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.release=$version" -o "$out/faultline-linux-$arch" ./cmd/faultline
  echo "$out/faultline-linux-$arch"
done
