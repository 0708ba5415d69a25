#!/usr/bin/env bash
# Takes pictures of every page in both themes and languages into docs/screenshots, with the sample shop's real figures.
# Payments fail for the last part, so that there is something to see. Takes about five minutes.
# DEMO_SECONDS is how long the shop runs well and then badly before the first picture; VARIANT (light-en, …) and ONLY
# (home,monitor) choose pictures; README_ONLY=1 leaves all out but those of the README. The README shows home.png, monitor.png and editor.png, which are in version control.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$CHROMIUM" ]; then
  echo "screenshots: there is no $CHROMIUM (CHROMIUM names another)" >&2
  exit 1
fi
good=${DEMO_SECONDS:-150}
bad=$((good / 2))
dir=$(mktemp -d "${TMPDIR:-/tmp}/pharos-demo-XXXX")
port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'; }
export DEMO_DATA=$dir/data DEMO_HTTP=127.0.0.1:$(port) PHAROS_GRPC=127.0.0.1:$(port) SHOP_ADDR=127.0.0.1:$(port)
[ -x bin/shop ] || CGO_ENABLED=0 go build -trimpath -o bin/shop ./examples/shop

# A process group of its own, because the demo ends by ending its group.
setsid ./examples/demo.sh > "$dir/demo.log" 2>&1 &
demo=$!
trap 'kill -- -$demo 2>/dev/null || true; while kill -0 -- -$demo 2>/dev/null; do sleep 0.2; done; rm -rf "$dir"' EXIT
until grep -q 'The demo runs' "$dir/demo.log"; do
  kill -0 $demo 2>/dev/null || { cat "$dir/demo.log" >&2; exit 1; }
  sleep 0.5
done
echo "screenshots: the shop runs; failing payments in $good s, pictures $bad s later"
sleep "$good"
./bin/shop fail on --shop "http://$SHOP_ADDR"
sleep "$bad"
export PHAROS_PASSWORD
PHAROS_PASSWORD=$(cat "$DEMO_DATA/demo-password")
node internal/apptest/pictures.mjs "http://$DEMO_HTTP" docs/screenshots
[ -n "${README_ONLY:-}" ] || node console/web/scripts/screenshots.mjs "http://$DEMO_HTTP" docs/screenshots
