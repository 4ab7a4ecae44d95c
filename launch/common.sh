# shellcheck shell=bash
# Sourced by the scripts of this directory: what they need, how they build, how they start ranks.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # for those that source this
program=$root/.build/release/fan-dist

say() { printf '%s\n' "$*"; }

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# What building and running need on Debian 12, and why.
# shellcheck disable=SC2034 # for those that source this
build_packages=(
  'libopenmpi-dev   Open MPI headers, to build: ranks exchange gradients through it'
  'openmpi-bin      mpirun, which starts the ranks'
  'libopenblas-dev  matrix products'
  'zlib1g-dev       reads and writes the compressed members of .npz files'
  'pkg-config       tells the Swift compiler where those libraries are'
  'g++              C headers, start-up files and libraries that the Swift compiler links with'
  'git              the Swift package manager fetches packages with it'
  'ca-certificates  lets git trust the hosts of those packages'
  'libcurl4         library that the Swift package manager loads'
  'libxml2          library that the Swift package manager loads'
  'libncurses6      library that the Swift package manager loads'
  'libsqlite3-0     library that the Swift package manager loads'
)

# What launch/python-env needs on top of that.
# shellcheck disable=SC2034 # for those that source this
python_packages=(
  'python3          runs the environments'
  'python3-venv     makes virtual environments'
  'libegl1          MuJoCo renders without a display through it, for videos'
  'libgl1-mesa-dri  renders without a graphics card'
  'libopengl0       how MuJoCo calls it'
)

# install_missing ENTRIES...: installs those packages that are missing, each given with its reason behind its name;
# when all are there, apt is not called and no network is needed.
install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    say 'Not a Debian system: expecting the equivalents of these packages to be there:'
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
    # -n: fail instead of asking for a password.
    as_root=(sudo -n)
    "${as_root[@]}" true 2>/dev/null ||
      fail "needs root to install; run this once as root: apt-get install -y ${missing[*]}"
  fi
  local log
  log=$(mktemp)
  "${as_root[@]}" apt-get update -qq </dev/null >"$log" 2>&1 || say 'apt-get update failed; trying with the lists there are.'
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

# build ARGUMENTS...: a release build. Sets `warnings` to the compiler's warnings about this package. Fails if the
# build does.
#
# A file that was compiled is not compiled again, and its warnings are not repeated. Touching the files that have
# some makes the next build repeat them.
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

# Cores that this process may use. Open MPI counts cores, not hardware threads, and so do we.
core_count() {
  local usable cores
  # nproc also looks at these two variables, which are about threads.
  usable=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
  cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l)
  ((cores > 0 && cores < usable)) && usable=$cores
  say "$usable"
}

# mpirun_flags RANKS [THREADS]: sets `mpirun_flags` to what starts that many ranks on this machine; with THREADS,
# each rank has that many cores for itself if there are enough.
mpirun_flags() {
  local ranks=$1 threads=${2:-}
  mpirun_flags=(-n "$ranks")
  # mpirun refuses to run as root unless told that this is meant, as in a container.
  [[ $(id -u) != 0 ]] || mpirun_flags+=(--allow-run-as-root)
  if [[ -n $threads ]] && ((ranks * threads <= $(core_count))); then
    # By default a rank gets one core, which all its threads would share.
    mpirun_flags+=(--map-by "slot:PE=$threads" --bind-to core)
  else
    # The system chooses cores. Ranks that wait for others let someone else have theirs: --oversubscribe.
    mpirun_flags+=(--bind-to none --oversubscribe)
  fi
}

# run_ranks ARGUMENTS...: mpirun with these arguments, without input. Its exit code is the job's.
#
# mpirun itself answers Ctrl-C and TERM by ending the ranks within a second or two. Instead they get USR1, upon
# which fan-dist saves, however long that takes, and exits with 75. Asked a second time, the ranks are ended.
run_ranks() {
  local process status interrupted signal=USR1
  # A session of its own: Ctrl-C reaches this script only.
  setsid mpirun "$@" </dev/null &
  process=$!
  trap 'interrupted=yes; kill -s "$signal" "$process" 2>/dev/null || true; signal=TERM' INT TERM USR1
  while true; do
    interrupted='' status=0
    wait "$process" || status=$?
    # A signal ends `wait` too.
    [[ -n $interrupted ]] || break
  done
  trap - INT TERM USR1
  return "$status"
}
