# Starting and stopping the servers of run.sh, which sources this. Each start
# sets server (process id), url, admin and version.
server="" url="" admin="" version=""

# free_port prints a TCP port that nothing listens on.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}

# await waits up to 15 s for a condition, as long as the server lives.
await() {
  local i
  for ((i = 0; i < 150; i++)); do
    if "$@"; then return; fi
    if ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "the server does not start:" >&2
  tail -20 "$work/server.log" >&2
  exit 1
}

stop_server() {
  if [ -z "$server" ]; then return; fi
  local i
  kill "$server" 2>/dev/null || true
  for ((i = 0; i < 100; i++)); do # a Janus stopped while it starts never ends by itself
    if ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.1
  done
  kill -9 "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=""
}

# start_chatmed PROCS PEOPLE: a server with an empty data directory, and a key.
start_chatmed() {
  local data=$work/data env=() flags=()
  rm -rf "$data"
  if [ -n "$1" ]; then env=(GOMAXPROCS="$1"); fi
  if [ "$2" -gt 16 ]; then flags=(--max-participants "$2"); fi
  env "${env[@]}" "$bin" serve --addr 127.0.0.1:0 --admin-addr 127.0.0.1:0 --udp-port 0 --node-ip "$media_ip" \
    --data-dir "$data" --log-level info --log-format text "${flags[@]}" 2>"$work/server.log" >&2 &
  server=$!
  await grep -q 'msg=serving' "$work/server.log"
  local line
  line=$(grep -m1 'msg=serving' "$work/server.log")
  url=http://$(sed -E 's/.* addr=([^ ]+).*/\1/' <<<"$line")
  admin=http://$(sed -E 's/.* admin=([^ ]+).*/\1/' <<<"$line")
  version=$("$bin" version | cut -d' ' -f2)
  LOADTEST_KEY=$("$bin" keys create --name bench --plan enterprise --mode test --data-dir "$data" | tail -1)
  export LOADTEST_KEY
}

# janus_version prints it; janus itself reports failure after it has.
janus_version() { (janus --version 2>&1 || true) | sed -nE "0,/[0-9]+\\.[0-9]/s/.*[^0-9]([0-9]+\\.[0-9]+\\.[0-9]+).*/\\1/p"; }

# require_janus installs Debian's package where it can, and explains where not.
require_janus() {
  if ! command -v janus >/dev/null; then
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
    echo "installing janus"
    # RUNLEVEL keeps the package from starting a Janus of its own.
    "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends janus >/dev/null || true
  fi
  if ! command -v janus >/dev/null; then
    echo "There is no janus here and it could not be installed. What apt knows of it:" >&2
    apt-cache policy janus >&2 || true
    echo "The comparison needs Debian's package janus (1.0 or later). Run: apt-get install janus" >&2
    exit 1
  fi
  case $(janus_version) in
  0.*)
    echo "janus $(janus_version) is too old: the comparison needs multistream, from 1.0 on" >&2
    exit 1
    ;;
  esac
}

require_media_address() {
  if [[ $media_ip == 127.* ]]; then
    echo "Janus uses no loopback address: set BENCH_MEDIA_IP to another address of this machine" >&2
    exit 1
  fi
}

# start_janus: the videoroom over WebSocket on loopback, everything else off.
# Otherwise it is as Debian ships it.
start_janus() {
  local conf=$work/janus port lib
  port=$(free_port)
  lib=$(dirname "$(dpkg -L janus | grep -m1 '/plugins/libjanus_videoroom.so')")
  lib=${lib%/plugins}
  mkdir -p "$conf"
  local unused='' f
  for f in "$lib"/plugins/*.so; do
    if [[ $f != *videoroom* ]]; then unused+=,$(basename "$f"); fi
  done
  local silent='' transport
  for transport in "$lib"/transports/*.so; do
    if [[ $transport != *websockets* ]]; then silent+=,$(basename "$transport"); fi
  done
  cat >"$conf/janus.jcfg" <<CONF
general: {
	configs_folder = "$conf"
	plugins_folder = "$lib/plugins"
	transports_folder = "$lib/transports"
	events_folder = "$lib/events"
	loggers_folder = "$lib/loggers"
	interface = "127.0.0.1"
	debug_level = 2
	debug_colors = false
}
media: {
	ipv6 = false
	rtp_port_range = "30000-39999"
}
nat: {
	ice_enforce_list = "$media_ip"
}
plugins: { disable = "${unused#,}" }
transports: { disable = "${silent#,}" }
loggers: { disable = "libjanus_jsonlog.so" }
CONF
  cat >"$conf/janus.transport.websockets.jcfg" <<CONF
general: {
	json = "compact"
	ws = true
	ws_port = $port
	ws_interface = "lo"
	wss = false
}
admin: { admin_ws = false }
CONF
  echo 'general: { }' >"$conf/janus.plugin.videoroom.jcfg"
  janus -F "$conf" >"$work/server.log" 2>&1 &
  server=$!
  url=ws://127.0.0.1:$port admin="" version=$(janus_version)
  await listening "$port"
}

# start_pion: the usual SFU on Pion's PeerConnection, over our own socket.
start_pion() {
  "$bin" loadtest pionsfu --media-ip "$media_ip" >"$work/server.log" 2>&1 &
  server=$!
  await grep -q 'pionsfu at' "$work/server.log"
  url=$(sed -nE 's/.*pionsfu at (.*)/\1/p' "$work/server.log") admin="" version=pion
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
