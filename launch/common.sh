# shellcheck shell=bash
# The scripts of this directory source this file. It finds or installs what is needed, builds the program and starts
# ranks.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The program: a package has it in bin, and the repository where it was built.
program=$root/bin/fan-dist
[[ -x $program ]] || program=$root/.build/release/fan-dist

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
# When no package is missing, this does not call apt and needs no network. Who may not install packages is told which.
install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    say 'This is not a Debian system. These packages, or what corresponds to them, must be there:'
    printf '  %s\n' "$@"
    return
  fi
  local entry name missing=()
  for entry in "$@"; do
    name=${entry%% *}
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$entry")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0

  local as_root=() names=("${missing[@]%% *}")
  if [[ $(id -u) != 0 ]]; then
    # With -n, sudo fails instead of asking for a password.
    as_root=(sudo -n)
    if ! "${as_root[@]}" true 2>/dev/null; then
      say 'These packages are not installed, and only root can install packages:'
      printf '  %s\n' "${missing[@]}"
      return
    fi
  fi
  say 'Installing:'
  printf '  %s\n' "${missing[@]}"
  local log
  log=$(mktemp)
  "${as_root[@]}" apt-get update -qq </dev/null >"$log" 2>&1 || say 'apt-get update failed; using the old lists.'
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${names[@]}" </dev/null >>"$log" 2>&1; then
    cat "$log" >&2
    fail "apt-get could not install these packages: ${names[*]}"
  fi
  rm -f "$log"
}

# What building needs: a function that looks for it, what it is, and names of environment modules that often have it.
needs=(
  'has_mpi          MPI and its compiler mpicc     openmpi, mpich, intel-mpi, impi, cray-mpich'
  'has_openblas     OpenBLAS and its openblas.pc   openblas, OpenBLAS'
  'has_zlib         zlib and its headers           zlib'
  'has_pkg_config   pkg-config                     pkgconf, pkg-config'
  'has_compiler     g++, whose libraries are used  gcc, GCC, gnu'
  'has_git          git                            git'
  'has_swift_parts  libraries that Swift loads     curl, libxml2, ncurses, sqlite'
)

has_openblas() { pkg-config --exists openblas 2>/dev/null; }
has_zlib() { pkg-config --exists zlib 2>/dev/null || cc -E - <<<'#include <zlib.h>' >/dev/null 2>&1; }
has_pkg_config() { command -v pkg-config >/dev/null; }
has_compiler() { command -v g++ >/dev/null; }
has_git() { command -v git >/dev/null; }
has_swift_parts() { ! command -v swift >/dev/null || swift build --version >/dev/null 2>&1; }

# mpi_flags: prints the flags with which C programs are compiled and linked for MPI: what the compiler that MPICC names
# uses, otherwise mpicc, otherwise one of the names that MPI libraries have for pkg-config.
mpi_flags() {
  local compiler=${MPICC:-mpicc} name
  if command -v "$compiler" >/dev/null; then
    "$compiler" -show
    return
  fi
  [[ -z ${MPICC:-} ]] || return
  for name in mpi-c ompi-c mpich impi mpi; do
    if pkg-config --exists "$name" 2>/dev/null; then
      pkg-config --cflags --libs "$name"
      # Where the program is to look for the library when it runs.
      pkg-config --libs-only-L "$name" | sed 's/-L/-Wl,-rpath,/g'
      return
    fi
  done
  return 1
}
has_mpi() { mpi_flags >/dev/null 2>&1; }

# missing_needs: prints the lines of `needs` of what is not there.
missing_needs() {
  local need
  for need in "${needs[@]}"; do
    "${need%% *}" || say "${need#* }"
  done
}

# prepare_build: makes sure that all that building needs is there. On Debian it installs what is missing, as root or with
# sudo. It wants no root if nothing is missing.
prepare_build() {
  local missing
  if [[ -n $(missing_needs) ]]; then
    ! command -v dpkg-query >/dev/null || install_missing "${build_packages[@]}"
    missing=$(missing_needs | sed 's/^ */  /')
    [[ -z $missing ]] || fail "this is missing (on the right: modules that often have it; module avail shows yours):
$missing
load the modules, or let an administrator install the packages, and start this again"
  fi
  command -v swift >/dev/null ||
    fail 'no swift on the PATH; install the Swift 6.3 toolchain from https://www.swift.org/install/linux and try again'
}

# use_mpi DIRECTORY [LIBRARIES]: lets `swift build` use the MPI that mpi_flags finds. The package asks pkg-config for
# mpi-c; this writes a file of that name and puts its directory first. The Swift package manager takes -I, -L and -l from
# it; link_flags has where the program is to look for the library when it runs. The linker looks for libraries in the
# directory LIBRARIES first: that of MPI, /usr/lib for one, can have others of the same names.
# Debian's own MPI has such a file already.
link_flags=()
use_mpi() {
  local words word file=$1/mpi/mpi-c.pc compile=() link=(${2:+"-L$2"})
  if [[ -z ${MPICC:-} && $(command -v mpicc || true) == @(|/usr/bin/mpicc) ]] && pkg-config --exists mpi-c; then
    [[ ! -e $file ]] || rm -rf "$1/mpi" "$1"/release.yaml "$1"/debug.yaml
    return 0
  fi
  # Open MPI writes -Wl,-rpath -Wl,DIRECTORY, MPICH -Wl,-rpath,DIRECTORY, Intel MPI -Xlinker and quotes.
  words=$(mpi_flags | tr -d '"' | sed 's/-Wl,-rpath -Wl,/-Wl,-rpath,/g; s/-Xlinker -rpath -Xlinker /-Wl,-rpath,/g')
  for word in $words; do
    case $word in
      -I*) compile+=("$word") ;;
      -L* | -l*) link+=("$word") ;;
      -Wl,-rpath,*) link_flags+=(-Xlinker -rpath -Xlinker "${word#-Wl,-rpath,}") ;;
    esac
  done
  mkdir -p "$1/mpi"
  local text="Name: MPI
Description: the MPI library that launch/common.sh has found
Version: 0
Cflags: ${compile[*]}
Libs: ${link[*]}"
  if [[ $text != "$(cat "$file" 2>/dev/null)" ]]; then
    say "$text" >"$file"
    # The plan of an earlier build has the flags of another MPI.
    rm -f "$1"/release.yaml "$1"/debug.yaml
  fi
  export PKG_CONFIG_PATH=$1/mpi${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
}

# build ARGUMENTS...: makes a release build. It sets `warnings` to the compiler's warnings about this package, and fails
# if the build fails.
#
# The compiler does not compile an unchanged file again, and so does not repeat its warnings. Therefore this touches the
# files that have warnings: the next build compiles them again.
build() {
  local log
  log=$(mktemp)
  if ! swift build --package-path "$root" -c release "${link_flags[@]}" "$@" </dev/null 2>&1 | tee "$log"; then
    rm -f "$log"
    return 1
  fi
  warnings=$(grep -F "$root/" "$log" | grep -E '^/[^:]+:[0-9]+:[0-9]+: warning: ' |
    grep -E "^$root/(Sources|Tests|CMPI|Package)" | sort -u || true)
  rm -f "$log"
  [[ -z $warnings ]] || cut -d: -f1 <<<"$warnings" | sort -u | xargs -r touch
}

# require_libraries: fails if the program cannot be loaded here, and names the libraries that it lacks.
require_libraries() {
  local missing
  missing=$({ ldd "$program" 2>/dev/null || true; } | awk '/=> not found/ { print $1 }' | sort -u | xargs)
  [[ -z $missing ]] || fail "$program does not find $missing: load the module of the MPI library that it was built with \
(module avail shows yours; often openmpi, mpich, intel-mpi or cray-mpich), or install the library, and start this again"
}

# run_ranks COMMAND...: runs this command of a launcher such as mpirun, without input, and returns its exit code.
#
# On Ctrl-C and TERM, a launcher itself would end the ranks within a second or two, and when the terminal closes (HUP), at
# once. This function sends USR1 instead: fan-dist then saves, however long that takes, and exits with 75. A second
# Ctrl-C ends the ranks without that.
run_ranks() {
  local process status interrupted stopped='' on_interrupt=USR1 tied=()
  # If this script is killed, the launcher gets USR1, too.
  ! command -v setpriv >/dev/null || tied=(setpriv --pdeathsig USR1)
  # setsid keeps it away from the terminal, whose signals then reach this script only.
  "${tied[@]}" setsid "$@" </dev/null &
  process=$!
  trap 'interrupted=yes stopped=yes; kill -s USR1 "$process" 2>/dev/null || true' HUP TERM USR1
  trap 'interrupted=yes stopped=yes; kill -s "$on_interrupt" "$process" 2>/dev/null || true; on_interrupt=TERM' INT
  while true; do
    interrupted='' status=0
    wait "$process" || status=$?
    # A signal interrupts `wait` although the ranks still run; then wait again.
    [[ -n $interrupted ]] || break
  done
  trap - HUP INT TERM USR1
  # USR1 ends a launcher and ranks that have not begun yet: there is nothing to save.
  if [[ -n $stopped && $status == 138 ]]; then
    status=75
    printf '%s: stopped by a signal before the run began; run the same command again\n' "${0##*/}" >&2 || true
  fi
  # Hydra, the launcher of MPICH, passes a signal on, but now and then returns 0 in place of the code that the ranks end
  # with. A run that has finished at that moment ends at once when it is continued.
  if [[ -n $stopped && $status == 0 && $(basename "$(realpath "$(command -v "$1")")") == *hydra* ]]; then
    status=75
  fi
  return "$status"
}
