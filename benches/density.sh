#!/usr/bin/env bash
# Compares what streams and deliveries cost fantail, the least that a server can do (examples/floor.rs) and, where it is
# installed, nginx with nchan (Debian: nginx libnginx-mod-nchan), in one run on loopback. Less than three minutes.
#
#   benches/density.sh [STREAMS] [SERVER...]      by default 15000, and: floor fantail nchan
#
# Absolute figures belong to the machine; the ratios to floor are what is worth comparing. Each server and each client
# process needs a file descriptor a stream (ulimit -n).
set -euo pipefail
cd "$(dirname "$0")/.."

streams=${1:-15000}
servers=("${@:2}")
clients=2
publish=20       # events one at a time
burst=40         # events back to back
bursts=3

work=$(mktemp -d)
server=          # process id of the running server
finish() {
    stop
    rm -rf "$work"
}
stop() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
}
trap finish EXIT

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
    local port
    while port=$((21000 + RANDOM % 9000)); do
        listening "$port" || break
    done
    echo "$port"
}

wait_listening() {
    for _ in {1..100}; do
        kill -0 "$server" 2>/dev/null || break
        ! listening "$1" || return 0
        sleep 0.1
    done
    echo "$2 does not listen on port $1:" >&2
    cat "$work/$2.log" >&2
    exit 1
}

# Each start_* runs a server on the ports $http and $ingest, sets $server, and may set $pids and more arguments for the tool.
start_floor() {
    target/release/examples/floor "127.0.0.1:$http" "127.0.0.1:$ingest" >"$work/floor.log" 2>&1 &
    server=$!
}

start_fantail() {
    target/release/fantail serve --listen "127.0.0.1:$http" --ingest-listen "127.0.0.1:$ingest" \
        --admin-listen "127.0.0.1:$(free_port)" >"$work/fantail.log" 2>&1 &
    server=$!
}

start_nchan() {
    cat >"$work/nginx.conf" <<CONF
load_module $nchan_module;
daemon off;
user $(id -un) $(id -gn);
pid $work/nginx.pid;
error_log $work/nchan.log warn;
worker_processes auto;
worker_rlimit_nofile $(ulimit -Hn);
events { worker_connections $(($(ulimit -Hn) - 500)); }
http {
    access_log off;
    client_body_temp_path $work/body;
    nchan_shared_memory_size 256M;
    server {
        listen 127.0.0.1:$http backlog=4096;
        location ~ ^/sub/(.+)\$ {
            nchan_subscriber eventsource;
            nchan_channel_id \$1;
            nchan_subscriber_first_message newest;
        }
        location ~ ^/pub/(.+)\$ {
            nchan_publisher;
            nchan_channel_id \$1;
            nchan_message_buffer_length 1000;
            nchan_message_timeout 1h;
        }
    }
}
CONF
    nginx -p "$work" -c "$work/nginx.conf" 2>"$work/nchan.log" &
    server=$!
    ingest=$http
    arguments=(--path '/sub/{topic}' --publish-path '/pub/{topic}')
}

measure() {
    local name=$1 http ingest pids arguments=()
    http=$(free_port)
    ingest=$(free_port)
    "start_$name"
    wait_listening "$http" "$name"
    wait_listening "$ingest" "$name"
    pids=$({ ps -o pid= --ppid "$server" || true; } | tr -d " " | paste -sd, -)
    echo "== $name: $streams streams"
    target/release/examples/density --target "127.0.0.1:$http" --publish-addr "127.0.0.1:$ingest" \
        --pid "$server${pids:+,$pids}" --streams "$streams" --at "$((streams / 3)),$streams" --workers "$clients" \
        --publish "$publish" --burst "$burst" --bursts "$bursts" ${arguments[@]+"${arguments[@]}"} | tee "$work/$name.out"
    stop
}

# One line a figure: its values, and in parentheses their ratios to the first server's.
table() {
    local files=()
    for name in "${servers[@]}"; do files+=("$work/$name.out"); done
    awk -v names="${servers[*]}" '
        FNR == 1 { file++ }
        /^#/ || NF < 2 { next }
        {
            # Of a figure that is given for each step, the last step counts.
            if (!($1 in seen)) { seen[$1] = ++figures; order[figures] = $1 }
            value[$1, file] = $2
            unit[$1] = $3
        }
        END {
            servers = split(names, name, " ")
            printf "\n%-28s %-5s", "", ""
            for (s = 1; s <= servers; s++) printf " %20s", name[s]
            print ""
            for (f = 1; f <= figures; f++) {
                figure = order[f]
                printf "%-28s %-5s", figure, unit[figure]
                for (s = 1; s <= servers; s++) {
                    ratio = ""
                    if (s > 1 && value[figure, 1] > 0) ratio = sprintf("(%.2f)", value[figure, s] / value[figure, 1])
                    printf " %11s %8s", value[figure, s], ratio
                }
                print ""
            }
        }' "${files[@]}"
}

nchan_module=$(find /usr/lib/nginx/modules /usr/share/nginx/modules -name ngx_nchan_module.so 2>/dev/null | head -n 1 || true)
if ((${#servers[@]} == 0)); then
    servers=(floor fantail)
    if [[ -n $nchan_module ]] && command -v nginx >/dev/null; then
        servers+=(nchan)
    else
        echo "nginx with nchan is not installed (apt install nginx libnginx-mod-nchan); going on without it"
    fi
fi

ulimit -Sn "$(ulimit -Hn)"
cargo build --quiet --release --bin fantail --example density --example floor
for name in "${servers[@]}"; do
    measure "$name"
done
table
