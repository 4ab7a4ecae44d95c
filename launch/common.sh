# shellcheck shell=bash
# The scripts of this directory source this file. It installs packages, builds the program and starts ranks.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # the scripts that source this file use it
program=$root/.build/release/fan-dist

say() { printf '%s\n' "$*"; }

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# The Debian 12 packages that building and running need, each with its reason.
# shellcheck disable=SC2034 # the scripts that source this file use it
build_packages=(
  'libopenmpi-dev   Open MPI headers, to build; ranks exchange gradients through Open MPI'
  'openmpi-bin      mpirun, which starts the ranks'
  'libopenblas-dev  matrix products'
  'zlib1g-dev       reads and writes the compressed members of .npz files'
  'pkg-config       tells the Swift compiler where these libraries are'
  'g++              C headers, start-up files and libraries that the Swift compiler links with'
  'git              the Swift package manager fetches packages with it'
  'ca-certificates  lets git trust the hosts of those packages'
  'libcurl4         library that the Swift package manager loads'
  'libxml2          library that the Swift package manager loads'
  'libncurses6      library that the Swift package manager loads'
  'libsqlite3-0     library that the Swift package manager loads'
)

# The packages that launch/python-env needs, too.
# shellcheck disable=SC2034 # the scripts that source this file use it
python_packages=(
  'python3          runs the environments'
  'python3-venv     makes virtual environments'
  'libegl1          MuJoCo renders without a display through it, for videos'
  'libgl1-mesa-dri  renders without a graphics card'
  'libopengl0       MuJoCo calls OpenGL through it'
)

# install_missing ENTRIES...: installs the packages that are missing. An entry is a package's name and the reason for it.
# When no package is missing, this does not call apt and needs no network.
install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    say 'This is not a Debian system. These packages, or what corresponds to them, must be installed:'
    printf '  %s\n' "$@"
    return
  fi
  local entry name missing=()
  for entry in "$@"; do
    name=${entry%% *}
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] && continue
    [[ ${#missing[@]} -gt 0 ]] || say 'Installing:'
    say "  $entry"
    missing+=("$name")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0

  local as_root=()
  if [[ $(id -u) != 0 ]]; then
    # With -n, sudo fails instead of asking for a password.
    as_root=(sudo -n)
    "${as_root[@]}" true 2>/dev/null ||
      fail "only root can install packages; run this once as root: apt-get install -y ${missing[*]}"
  fi
  local log
  log=$(mktemp)
  "${as_root[@]}" apt-get update -qq </dev/null >"$log" 2>&1 || say 'apt-get update failed; using the old lists.'
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1; then
    cat "$log" >&2
    fail "apt-get could not install these packages: ${missing[*]}"
  fi
  rm -f "$log"
}

require_swift() {
  command -v swift >/dev/null ||
    fail 'no swift on the PATH; install the Swift 6.3 toolchain from https://www.swift.org/install/linux and try again'
}

# build ARGUMENTS...: makes a release build. It sets `warnings` to the compiler's warnings about this package, and fails
# if the build fails.
#
# The compiler does not compile an unchanged file again, and so does not repeat its warnings. Therefore this touches the
# files that have warnings: the next build compiles them again.
build() {
  local log
  log=$(mktemp)
  if ! swift build --package-path "$root" -c release "$@" </dev/null 2>&1 | tee "$log"; then
    rm -f "$log"
    return 1
  fi
  warnings=$(grep -F "$root/" "$log" | grep -E '^/[^:]+:[0-9]+:[0-9]+: warning: ' |
    grep -E "^$root/(Sources|Tests|CMPI|Package)" | sort -u || true)
  rm -f "$log"
  [[ -z $warnings ]] || cut -d: -f1 <<<"$warnings" | sort -u | xargs -r touch
}

# core_count: prints how many cores this process may use. It counts cores, not hardware threads, as Open MPI does.
core_count() {
  local usable cores
  # nproc would take these two variables into account, but they limit threads and not cores.
  usable=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
  cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l)
  ((cores > 0 && cores < usable)) && usable=$cores
  say "$usable"
}

# mpirun_flags RANKS [THREADS]: sets `mpirun_flags` to the flags that start that many ranks on this machine. With
# THREADS, each rank gets that many cores for itself, if the machine has enough.
mpirun_flags() {
  local ranks=$1 threads=${2:-}
  mpirun_flags=(-n "$ranks")
  # In containers, programs often run as root; mpirun does so only with this flag.
  [[ $(id -u) != 0 ]] || mpirun_flags+=(--allow-run-as-root)
  if [[ -n $threads ]] && ((ranks * threads <= $(core_count))); then
    # Without this, mpirun gives a rank one core, and all threads of the rank would share it.
    mpirun_flags+=(--map-by "slot:PE=$threads" --bind-to core)
  else
    # The system chooses the cores. With --oversubscribe, a rank that waits for others gives up its core meanwhile.
    mpirun_flags+=(--bind-to none --oversubscribe)
  fi
}

# run_ranks ARGUMENTS...: runs mpirun with these arguments and without input, and returns its exit code.
#
# On Ctrl-C and TERM, mpirun itself would end the ranks within a second or two, and when the terminal closes (HUP), at
# once. This function sends USR1 instead: fan-dist then saves, however long that takes, and exits with 75. A second
# Ctrl-C ends the ranks without that.
run_ranks() {
  local process status interrupted stopped='' on_interrupt=USR1 tied=()
  # If this script is killed, mpirun gets USR1, too.
  ! command -v setpriv >/dev/null || tied=(setpriv --pdeathsig USR1)
  # setsid keeps mpirun away from the terminal, whose signals then reach this script only.
  "${tied[@]}" setsid mpirun "$@" </dev/null &
  process=$!
  trap 'interrupted=yes stopped=yes; kill -s USR1 "$process" 2>/dev/null || true' HUP TERM USR1
  trap 'interrupted=yes stopped=yes; kill -s "$on_interrupt" "$process" 2>/dev/null || true; on_interrupt=TERM' INT
  while true; do
    interrupted='' status=0
    wait "$process" || status=$?
    # A signal interrupts `wait` although mpirun still runs; then wait again.
    [[ -n $interrupted ]] || break
  done
  trap - HUP INT TERM USR1
  # USR1 ends mpirun and ranks that have not begun yet: there is nothing to save.
  if [[ -n $stopped && $status == 138 ]]; then
    status=75
    printf '%s: stopped by a signal before the run began; run the same command again\n' "${0##*/}" >&2 || true
  fi
  return "$status"
}
