# What the start scripts of the peers share. Sourced by them, never run.

# /usr/sbin has nginx, and is not in everybody's PATH.
PATH=$PATH:/usr/sbin

# Reads `--http PORT --ingest PORT [-- ARGUMENT...]` into $http, $ingest and the array $extra, and raises the soft file
# limit to the hard one: every server needs a descriptor a stream.
read_arguments() {
    http=
    ingest=
    extra=()
    while (($# > 0)); do
        case $1 in
            --http) http=${2-} ;;
            --ingest) ingest=${2-} ;;
            --) extra=("${@:2}"); break ;;
            *) usage "unknown argument $1" ;;
        esac
        shift "$(($# > 1 ? 2 : 1))"
    done
    [[ $http =~ ^[0-9]+$ ]] || usage "--http must be a port, not '$http'"
    [[ $ingest =~ ^[0-9]+$ ]] || usage "--ingest must be a port, not '$ingest'"
    ulimit -Sn "$(ulimit -Hn)"
}

usage() { refuse "$1; usage: $0 --http PORT --ingest PORT [-- ARGUMENT...]"; }

# Says why the server can't be started, and that trying again changes nothing.
refuse() {
    echo "$0: $1" >&2
    exit 2
}

# need PROGRAM PACKAGE...
need() {
    command -v "$1" >/dev/null || refuse "$1 is not installed (apt install ${*:2})"
}

# Sets $files to the most files of a process, and $connections to how many connections to allow it: nearly as many, but not
# so many that what a server sets aside for connections in advance outweighs those it gets. $1 is the most that makes sense.
read_limits() {
    files=$(ulimit -n)
    connections=$1
    if [[ $files != unlimited ]] && ((files - 500 < connections)); then
        connections=$((files - 500))
    fi
}

# fill TEMPLATE NAME=VALUE...: the template with every @NAME@ replaced
fill() {
    local text pair
    IFS= read -rd '' text <"$1" || true # there is no such delimiter, which read says by failing
    for pair in "${@:2}"; do
        text=${text//"@${pair%%=*}@"/"${pair#*=}"}
    done
    printf '%s' "$text"
}

# Makes the directory $scratch, and sees to it that it and all background processes of the script end with the script.
# A shell with a trap has to stay: after `exec` nobody would clean up. Called late, and with no $(...) after it: bash 5.2
# may stumble over a signal while it reads one.
make_scratch() {
    scratch=
    trap finish EXIT
    trap 'exit 0' TERM INT HUP
    scratch=$(mktemp -d)
}

finish() {
    trap '' TERM INT HUP
    local servers
    servers=$(jobs -p)
    if [[ -n $servers ]]; then
        # shellcheck disable=SC2086 # one process id a word
        kill $servers 2>/dev/null || true
        wait
    fi
    [[ -z $scratch ]] || rm -rf "$scratch"
}

# Starts a server in the background. The kernel ends it even if this script is killed with no chance to do so.
background() { setpriv --pdeathsig TERM "$@" & }

# Waits until the first of the servers ends, which only a failure or a signal makes it do.
serve() { wait -n; }
