#!/bin/sh
# What the tests use beside Python packages: a browser, and a font that has Hangul. `make tools` calls it.
# Without it their tests are skipped, and say so. PostgreSQL and S3 servers come as Python packages.
set -eu
if command -v chromium > /dev/null; then
    exit 0
fi
if ! command -v apt-get > /dev/null || [ "$(id -u)" != 0 ]; then
    echo "no chromium, and this is no Debian that root may install on: tests in a browser are skipped" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends chromium fonts-nanum > /dev/null
