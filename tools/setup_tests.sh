#!/usr/bin/env bash
# Installs what the tests under tests/ need: Debian packages, Apache Kafka's jars, Python packages.
# May be run again at any time; steps whose inputs have not changed since they last succeeded are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup_tests: %s\n' "$*"; }

# A step is up to date while the digest of its inputs is the one noted when it last succeeded.
digest_of() { cat "$@" | sha256sum | cut -d' ' -f1; }
is_current() { [[ -f "$1" && "$(cat "$1")" == "$2" ]]; }

install_debian_packages() {
    local missing=() package
    while read -r package; do
        [[ -z "$package" || "$package" == \#* ]] && continue
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done < tools/test-packages.txt
    ((${#missing[@]} == 0)) && return
    say "installing Debian packages: ${missing[*]}"
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

install_jars() {
    local stamp=build/kafka/libs.stamp digest
    digest=$(digest_of tests/lib/pom.xml)
    is_current "$stamp" "$digest" && return
    say "copying Apache Kafka's jars to build/kafka/libs"
    rm -rf build/kafka/libs
    mkdir -p build/kafka
    mvn --batch-mode --quiet --file tests/lib/pom.xml dependency:copy-dependencies \
        -DoutputDirectory="$PWD/build/kafka/libs" -DincludeScope=runtime
    printf '%s' "$digest" > "$stamp"
}

install_python_packages() {
    local stamp=build/venv/requirements.stamp digest
    digest=$(digest_of tests/requirements.txt)
    is_current "$stamp" "$digest" && return
    say "installing Python packages to build/venv"
    [[ -x build/venv/bin/python ]] || python3 -m venv build/venv
    build/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
    printf '%s' "$digest" > "$stamp"
}

mkdir -p build
# Two test runs that start together must not install into each other.
exec 9> build/setup_tests.lock
flock 9
install_debian_packages
install_jars
install_python_packages
