#!/usr/bin/env bash
# Whole workloads against bin/chatmed, and with "peers" against Debian's Janus
# in turns: each run has a fresh server, in the order ours, Janus in odd rounds
# and Janus, ours in even ones, so that a slow minute hits both.
#
# "pion" puts the same load on the usual SFU on Pion's PeerConnection in turns.
#
#   deploy/bench/run.sh [ours|peers|pion]
#
#   BENCH_WORKLOADS  what to run, default "1x2 10x2 25x2 1to50 1to100 10all"
#                      ROOMSxPEOPLE  rooms in which everybody publishes
#                      1toN          one publisher, N who only receive
#                      Nall          one room of N, everyone to everyone
#                      …-audio, …-small, …-simulcast   another profile than camera
#                      …+rec         with every room recorded (ours only)
#                      …@N           the server with GOMAXPROCS=N (ours only)
#                      scaling       1, 5, 20 and 100 rooms, audio and camera, with 1 and
#                                    2 cores; where 100 cameras are marked saturated,
#                                    100x2-small sends a third of the packets
#                      soak          joins and leaves (ours only)
#   BENCH_ROUNDS     repetitions, default 5
#   BENCH_SECONDS    measured in each run, default 20
#   BENCH_JOINS      of the soak, default 1000
#   BENCH_MEDIA_IP   address that media goes to, default 127.0.0.1. Janus uses no
#                    loopback address: with "peers" and without this setting
#                    everything runs, as root, in a network namespace of its own
#                    that has an address made up for it
#   BENCH_OUT        directory of the results, default .artifacts/bench/MODE
#   BENCH_BIN        the binary, default bin/chatmed
#
# All traffic stays on this machine.
set -euo pipefail

mode=${1:-ours}
case $mode in ours | peers | pion) ;; *)
  echo "usage: $0 [ours|peers|pion]" >&2
  exit 2
  ;;
esac
root=$(cd "$(dirname "$0")/../.." && pwd)
source "$root/deploy/bench/servers.sh"

bin=${BENCH_BIN:-$root/bin/chatmed}
rounds=${BENCH_ROUNDS:-5}
seconds=${BENCH_SECONDS:-20}
out=${BENCH_OUT:-$root/.artifacts/bench/$mode}
if [[ $mode == peers ]]; then require_janus; fi # needs the network that the namespace lacks
if [[ $mode == peers && -z ${BENCH_MEDIA_IP:-} ]]; then
  export BENCH_MEDIA_IP=10.99.0.1
  exec unshare --net bash -euc '
    ip link set lo up
    ip link add bench0 type veth peer name bench1
    ip address add "$BENCH_MEDIA_IP/24" dev bench0
    ip link set bench0 up
    ip link set bench1 up
    exec "$0" peers' "$root/deploy/bench/run.sh"
fi
media_ip=${BENCH_MEDIA_IP:-127.0.0.1}

scaling=""
for procs in 1 2; do
  for rooms in 1 5 20 100; do
    scaling+=" ${rooms}x2-audio@$procs ${rooms}x2@$procs"
  done
done
workloads=" ${BENCH_WORKLOADS:-1x2 10x2 25x2 1to50 1to100 10all} "
workloads=${workloads/ scaling / $scaling }

# parse sets rooms, people, publishers, profile and procs from a workload's name.
parse() {
  local name=$1
  procs="" profile=camera publishers=0 record=()
  if [[ $name == *@* ]]; then
    procs=${name##*@}
    name=${name%@*}
  fi
  if [[ $name == *+rec ]]; then
    record=(--record)
    name=${name%+rec}
  fi
  if [[ $name == *-* ]]; then
    profile=${name##*-}
    name=${name%-*}
  fi
  if [[ $name =~ ^([0-9]+)x([0-9]+)$ ]]; then
    rooms=${BASH_REMATCH[1]} people=${BASH_REMATCH[2]}
  elif [[ $name =~ ^1to([0-9]+)$ ]]; then
    rooms=1 people=$((BASH_REMATCH[1] + 1)) publishers=1
  elif [[ $name =~ ^([0-9]+)all$ ]]; then
    rooms=1 people=${BASH_REMATCH[1]}
  else
    echo "unknown workload $1" >&2
    exit 2
  fi
}

# measure runs one workload on the server that has been started.
measure() {
  local target=$1 workload=$2 round=$3 file
  file=$out/$target-${workload//@/-procs}-$round.json
  if "$bin" loadtest --target "$target" --url "$url" --pid "$server" --admin "$admin" \
    --server-version "$version" --name "$workload" --round "$round" --media-ip "$media_ip" \
    --rooms "$rooms" --participants "$people" --publishers "$publishers" --profile "$profile" "${record[@]}" \
    --duration "${seconds}s" --json "$file" >"$out/last.txt"; then
    results+=("$file")
    grep -E '^(server CPU|SATURATED|beware)' "$out/last.txt" | sed "s/^/  $target $workload #$round  /"
  else
    echo "  $target $workload #$round FAILED; the end of the server's log:" >&2
    tail -5 "$work/server.log" >&2
    failed=$((failed + 1))
  fi
}

run_ours() {
  start_chatmed "$procs" "$people"
  measure chatmed "$1" "$2"
  stop_server
}

run_janus() {
  start_janus
  measure janus "$1" "$2"
  stop_server
}

run_pion() {
  start_pion
  measure pion "$1" "$2"
  stop_server
}

run_soak() {
  start_chatmed "" 2
  "$bin" loadtest soak --url "$url" --admin "$admin" --media-ip "$media_ip" --rooms 4 --server-version "$version" \
    --joins "${BENCH_JOINS:-1000}" --every $((${BENCH_JOINS:-1000} / 20)) --json "$out/soak.json" | tee "$out/soak.txt" ||
    failed=$((failed + 1))
  stop_server
}

if [ "$mode" = peers ]; then require_media_address; fi
ulimit -n 65536 2>/dev/null || true
mkdir -p "$out"
rm -f "$out"/*.json "$out"/*.txt
work=$(mktemp -d)
trap 'stop_server; rm -rf "$work"' EXIT
results=() failed=0
{
  echo "$(date -u +%FT%TZ) $(uname -sr), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg)"
  echo "$("$bin" version); media over $media_ip; $rounds rounds of $seconds s"
  if [ "$mode" = peers ]; then echo "Janus $(janus_version), one multistream subscription for each participant"; fi
} | tee "$out/machine.txt"

for ((round = 1; round <= rounds; round++)); do
  for workload in $workloads; do
    if [ "$workload" = soak ]; then
      if [ "$round" -eq 1 ]; then run_soak; fi
      continue
    fi
    parse "$workload"
    other=run_janus
    if [ "$mode" = pion ]; then other=run_pion; fi
    if [ "$mode" = ours ] || [ -n "$procs" ]; then
      run_ours "$workload" "$round"
    elif ((round % 2)); then
      run_ours "$workload" "$round"
      "$other" "$workload" "$round"
    else
      "$other" "$workload" "$round"
      run_ours "$workload" "$round"
    fi
  done
done

rm -f "$out/last.txt"
if [ ${#results[@]} -gt 0 ]; then
  "$bin" loadtest report --json "$out/summary.json" "${results[@]}" | tee "$out/report.txt"
fi
echo "results in $out"
if [ "$failed" -gt 0 ]; then
  echo "$failed runs failed" >&2
  exit 1
fi
