#!/usr/bin/env bash
# What the setting `send_buffer_bytes` trades: kernel memory that a stalled stream holds against the cost of a burst to streams that read.
# Prints a line for each value: kernel bytes queued for a stream whose client stopped reading while 8 MiB were published past it (ss, the
# mean of 50 streams), then deliveries a second and CPU a delivery of bursts of 40 events of 128 bytes to 2,000 streams.
#
#   benches/send-buffer.sh [VALUE...]       by default 0 (the system's own), 4KiB, 16KiB, 64KiB, 256KiB
#
# Needs a release build (cargo build --release --workspace), ss (Debian: iproute2) and redis-benchmark (redis-tools).
set -euo pipefail
cd "$(dirname "$0")/.."

values=("$@")
[[ $# -gt 0 ]] || values=(0 4KiB 16KiB 64KiB 256KiB)
stalled=50
work=$(mktemp -d)
server=
stop() { [[ -z $server ]] || { kill -9 "$server" && wait "$server" || true; } 2>/dev/null; server=; }
trap 'stop; rm -rf "$work"' EXIT

printf '%-18s %22s %16s %16s\n' send_buffer_bytes 'stalled, kernel B' deliveries 'CPU a delivery'
for value in "${values[@]}"; do
    : >"$work/out"
    target/release/fantail serve --listen 127.0.0.1:0 --ingest-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
        --slow-consumer skip --send-buffer-bytes "$value" --log-level warn >"$work/out" &
    server=$!
    until [[ $(wc -l <"$work/out") -ge 3 ]]; do sleep 0.05; done
    http=$(sed -n 's#^http .*://##p' "$work/out")
    ingest=$(sed -n 's#^ingest .*://##p' "$work/out")

    descriptors=()
    for ((n = 0; n < stalled; n++)); do
        exec {fd}<>"/dev/tcp/${http%:*}/${http#*:}"
        printf 'GET /events/stalled HTTP/1.1\r\nHost: bench\r\n\r\n' >&"$fd"
        descriptors+=("$fd")
    done
    redis-benchmark -h "${ingest%:*}" -p "${ingest#*:}" -c 1 -P 16 -n 8192 -q PUBLISH stalled "$(head -c 1024 /dev/zero | tr '\0' x)" >/dev/null
    sleep 1
    queued=$(ss -tmnH state established "sport = :${http#*:}" | grep -o ',w[0-9]*' | tr -d ',w' |
        awk -v streams=$stalled '{ sum += $1 } END { printf "%.0f", sum / streams }')
    for fd in "${descriptors[@]}"; do exec {fd}>&-; done

    target/release/fantail-loadtest fanout --url "http://$http" --publish "resp://$ingest" --pid "$server" --streams 2000 \
        --one-at-a-time 0 --rate 0 --burst 40 --bursts 20 >"$work/table" 2>/dev/null
    figure() { awk -v label="$1" 'index($0, label) { print $(NF - 1), $NF }' "$work/table"; }
    printf '%-18s %22s %16s %16s\n' "$value" "$queued" \
        "$(figure 'deliveries a second, in bursts')" "$(figure 'CPU a delivery, in bursts')"
    stop
done
