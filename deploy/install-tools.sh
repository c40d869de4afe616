#!/usr/bin/env bash
# Installs what the tests need beside Go and Node, as Debian packages: a C
# compiler for the race detector, Redis, PostgreSQL, Chromium, ffmpeg, fonts,
# pebble, the test authority of ACME, and coturn for its TURN client.
# Does nothing where all of it is there.
set -euo pipefail

need=()
have() { command -v "$1" >/dev/null 2>&1; }
have gcc || need+=(gcc libc6-dev)
have redis-server || need+=(redis-server)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need+=(postgresql)
have chromium || need+=(chromium)
have ffmpeg || need+=(ffmpeg)
have pebble && have pebble-challtestsrv || need+=(pebble)
have turnutils_uclient || need+=(coturn)
have runuser || need+=(util-linux)
compgen -G '/usr/share/fonts/truetype/noto/NotoSansArabic*' >/dev/null || need+=(fonts-noto-core)

if [ ${#need[@]} -eq 0 ]; then exit 0; fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
export DEBIAN_FRONTEND=noninteractive
echo "installing: ${need[*]}"
"${as_root[@]}" apt-get update -qq
# Debian's packages start services of their own; the tests bring their own.
"${as_root[@]}" env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
