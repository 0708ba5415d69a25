#!/usr/bin/env bash
# Starts Pharos, the sample shop and its customers, and applies the shop's monitors and alarm rules. Ctrl-C ends all.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DEMO_DATA:-$PWD/data}
http=${DEMO_HTTP:-127.0.0.1:8080}
shop=${SHOP_ADDR:-127.0.0.1:8090}
mkdir -p "$data/shop"
trap 'trap - EXIT INT TERM; kill 0' EXIT INT TERM

password_file="$data/demo-password"
[ -e "$password_file" ] || (umask 077; head -c 12 /dev/urandom | base64 | tr '+/' 'ab' > "$password_file")
export PHAROS_ADMIN_PASSWORD=${PHAROS_ADMIN_PASSWORD:-$(cat "$password_file")}

./bin/pharos all --data "$data" --http "$http" &
./bin/shop serve --addr "$shop" --logs "$data/shop" &
./bin/shop load --shop "http://$shop" &
until curl -fsS "http://$http/healthz" >/dev/null 2>&1; do sleep 0.2; done

# The login goes to a file of the demo's own, so that yours stays.
export XDG_CONFIG_HOME="$data/demo-config"
PHAROS_PASSWORD=$PHAROS_ADMIN_PASSWORD ./bin/pharos login --server "http://$http" admin
sed "s|__LOGS__|$data/shop|" examples/shop/pharos/*.yaml | ./bin/pharos apply -f -
cat <<TEXT

  The demo runs: http://$http
  Sign in as admin with the password $PHAROS_ADMIN_PASSWORD

  Make payments fail:  ./bin/shop fail on --shop http://$shop
  Mend them:           ./bin/shop fail off --shop http://$shop

TEXT
wait
