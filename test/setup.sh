#!/usr/bin/env bash
# What the tests need beside Go: as root on Debian or Ubuntu this installs what is missing, anywhere else it names all of it at once.
#
#   test/setup.sh          for make test and make test-all; does nothing when nothing is missing
#
# WORKER_TEST_AMQP_URL, WORKER_TEST_POSTGRES_DSN and WORKER_TEST_CHROMIUM name what is used instead of an installed one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=()
# need PACKAGES COMMAND… wants the packages unless one of the commands is there.
need() {
  local wanted command
  read -ra wanted <<<"$1"
  shift
  for command in "$@"; do
    if command -v "$command" >/dev/null; then
      return
    fi
  done
  packages+=("${wanted[@]}")
}

if ! command -v go >/dev/null; then
  echo "please install Go, of the version in go.mod or later: https://go.dev/dl" >&2
  exit 1
fi
need "gcc libc6-dev" gcc # for the race detector
need shellcheck shellcheck
if [[ -z ${WORKER_TEST_CHROMIUM:-} ]]; then
  need chromium chromium chromium-browser google-chrome headless-shell # the pages are tested in a browser
fi
if [[ -z ${WORKER_TEST_AMQP_URL:-} ]]; then
  need rabbitmq-server rabbitmq-server
fi
if [[ -z ${WORKER_TEST_POSTGRES_DSN:-} ]] && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
  need postgresql initdb
fi
need pgbouncer pgbouncer      # a pooler before PostgreSQL
need postgresql-client psql   # SQL from a client that knows nothing of the worker
need python3 python3          # clients in another language
/usr/bin/python3 -c 'import psycopg2' 2>/dev/null || packages+=(python3-psycopg2)

# Servers of newer Debian suites, in trees of their own: where internal/testserver looks for them.
trees=${XDG_CACHE_HOME:-$HOME/.cache}/answerfeed/brokers
suites=()
for suite in trixie sid; do
  [[ -e $trees/$suite/.complete ]] || suites+=("$suite")
done
if [[ ${#suites[@]} -gt 0 ]]; then
  need debootstrap debootstrap
fi

if [[ ${#packages[@]} -eq 0 && ${#suites[@]} -eq 0 ]]; then
  exit
fi
if ! command -v apt-get >/dev/null || [[ $(id -u) -ne 0 ]]; then
  missing=()
  if [[ ${#packages[@]} -gt 0 ]]; then
    missing+=("these packages (by their names on Debian): ${packages[*]}")
  fi
  if [[ ${#suites[@]} -gt 0 ]]; then
    missing+=("the servers of Debian ${suites[*]} in $trees, which root makes on Debian by test/setup.sh")
  fi
  printf -v sentence '%s; and ' "${missing[@]}"
  echo "the tests need ${sentence%; and }" >&2
  exit 1
fi

if [[ ${#packages[@]} -gt 0 ]]; then
  echo "== installing ${packages[*]}"
  # The tests start servers of their own; none of the packages' is wanted.
  mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/answerfeed.conf
  apt-get update -qq
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
fi
mkdir -p "$trees"
making=()
for suite in "${suites[@]}"; do
  echo "== installing RabbitMQ and PostgreSQL of Debian $suite in $trees/$suite"
  flock "$trees/$suite.lock" sh internal/testserver/suite.sh make "$suite" "$trees/$suite" >"$trees/$suite.log" 2>&1 &
  making+=("$!:$suite")
done
status=0
for one in "${making[@]}"; do
  if ! wait "${one%%:*}"; then
    echo "installing the servers of Debian ${one##*:} failed:" >&2
    tail -20 "$trees/${one##*:}.log" >&2
    status=1
  fi
done
exit "$status"
