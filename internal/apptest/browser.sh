#!/usr/bin/env bash
# Runs the main job and the handbook's examples in a real browser (mainjob.mjs, examples.mjs) against bin/pharos, or the program that PHAROS names.
# A run takes about four minutes. On failure the working directory stays, with a picture and the program's output.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$CHROMIUM" ]; then
  echo "browser: SKIPPED: there is no $CHROMIUM (CHROMIUM names another)"
  exit 0
fi
for job in ${JOBS:-mainjob examples}; do
  dir=$(mktemp -d "${TMPDIR:-/tmp}/pharos-$job-XXXXXX")
  node "internal/apptest/$job.mjs" "${PHAROS:-bin/pharos}" "$dir"
  rm -rf "$dir"
done
