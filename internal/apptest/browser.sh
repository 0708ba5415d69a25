#!/usr/bin/env bash
# Runs the main job in a real browser (mainjob.mjs) against bin/pharos, or the program that PHAROS names.
# A run takes about three minutes. On failure the working directory stays, with a picture and the program's output.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$CHROMIUM" ]; then
  echo "mainjob: SKIPPED: there is no $CHROMIUM (CHROMIUM names another)"
  exit 0
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/pharos-mainjob-XXXXXX")
node internal/apptest/mainjob.mjs "${PHAROS:-bin/pharos}" "$dir"
rm -rf "$dir"
