#!/usr/bin/env bash
# Runs the suites that need a running broker, and sums up.
#
#   tests/run.sh [options] [suite...]        no suite: all of them
#   --broker odradek|kafka   who is under test (default odradek; kafka proves the suites themselves)
#   --fast                   fewer records and rounds: a minute or two
#   -x                       stop at the first failure
#   --with-coordinators      also what needs the transaction coordinator
#   -- ...                   the rest goes to pytest
#
# Suites: wire groups tools java clients startup takeover disks crash log bulk; live-takeover many-partitions when named
# Environment: ODRADEK_BINARY, ODRADEK_BULK_RECORDS, ODRADEK_CRASH_ROUNDS, ODRADEK_SEED, ODRADEK_KEEP_DATA,
#   ODRADEK_GROUP_MEMBERS and ODRADEK_GROUP_SECONDS (20 and 300: the long form), ODRADEK_GROUP_CRASH_ROUNDS
set -uo pipefail
HELP=$(sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0")
cd "$(dirname "$0")" || exit 2

declare -A PATHS=(
    [wire]="interop/test_wire.py"
    [groups]="interop/test_group_wire.py interop/test_offset_commit_wire.py interop/test_group_threads.py groups"
    [tools]="interop/test_kafka_tools.py"
    [java]="interop/test_java_clients.py"
    [clients]="interop/test_other_clients.py"
    [startup]="startup"
    [takeover]="takeover"
    [disks]="disks"
    [crash]="crash"
    [bulk]="interop/test_bulk.py"
    [log]="log"
    [live-takeover]="soak/test_live_takeover.py"
    [many-partitions]="soak/test_many_partitions.py"
)
ORDER=(startup wire tools java clients groups takeover disks crash log bulk)

usage() { printf '%s\n' "$HELP"; }

broker=odradek
suites=()
pytest_options=()
stop_at_failure=0
coordinators=0
while (($#)); do
    case "$1" in
        --broker) broker=${2:?--broker needs odradek or kafka}; shift ;;
        --broker=*) broker=${1#*=} ;;
        --fast) export ODRADEK_BULK_RECORDS=${ODRADEK_BULK_RECORDS:-500000} ODRADEK_CRASH_ROUNDS=${ODRADEK_CRASH_ROUNDS:-10} ;;
        --with-coordinators) coordinators=1 ;;
        -x) stop_at_failure=1; pytest_options+=(-x) ;;
        -h | --help) usage; exit 0 ;;
        --) shift; pytest_options+=("$@"); break ;;
        *)
            if [[ -z "${PATHS[$1]:-}" ]]; then
                printf 'run.sh: no suite is named %s; there are: %s\n' "$1" "${ORDER[*]}" >&2
                exit 2
            fi
            suites+=("$1") ;;
    esac
    shift
done
((${#suites[@]})) || suites=("${ORDER[@]}")

((coordinators)) || pytest_options=(-m "not transactions" "${pytest_options[@]}")

../tools/setup_tests.sh || exit 2

summary=()
failed=0
for suite in "${suites[@]}"; do
    printf '\n=== %s against %s\n' "$suite" "$broker"
    started=$SECONDS
    output=$(mktemp)
    read -ra paths <<< "${PATHS[$suite]}"
    ../build/venv/bin/python -m pytest -q --broker "$broker" "${pytest_options[@]}" "${paths[@]}" 2>&1 | tee "$output"
    status=${PIPESTATUS[0]}
    summary+=("$(printf '%-9s %-6s %4d s  %s' "$suite" "$([[ $status == 0 ]] && echo ok || echo FAILED)" \
        $((SECONDS - started)) "$(tail -n 1 "$output")")")
    rm -f "$output"
    if [[ $status != 0 ]]; then
        failed=1
        ((stop_at_failure)) && break
    fi
done
printf '\n=== summary, %d s\n' "$SECONDS"
printf '%s\n' "${summary[@]}"
exit "$failed"
