#!/usr/bin/env bash
# Trains on this machine, on any number of ranks.
#
# A rank is one process of a run. The ranks of a run share the work of every batch and keep one set of parameters
# together. More ranks make an update faster; what is learned changes by rounding only. The launcher of the MPI library
# starts the ranks; `fan-dist launcher` knows how it is called here.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage="Usage: launch/local.sh [-n RANKS] [-t THREADS] [-b core|none] [-p] [ARGUMENTS...]

  -n RANKS     ranks to start; by default as many as fit the cores
  -t THREADS   threads of each rank; 1 by default. More ranks are usually better than more threads
  -b core      each rank has THREADS cores for itself; the default if there are RANKS x THREADS cores
  -b none      the system chooses the cores; use this on a machine that others use, too
  -p           print the command instead of running it
  ARGUMENTS    for fan-dist train; see fan-dist train --help

  launch/local.sh -n 2 --seed 1
  launch/local.sh -n 4 -t 2 --run-dir runs/large --resume auto

Ctrl-C saves the run and stops. The same --run-dir with --resume auto continues it."

ranks='' threads=1 binding=core print=''
# The first argument that this script does not know, and all after it, are for fan-dist.
while [[ $# -gt 0 ]]; do
  case $1 in
    -n | -t | -b)
      [[ $# -gt 1 ]] || fail "$1 needs a value; see launch/local.sh -h"
      case $1 in
        -n) ranks=$2 ;;
        -t) threads=$2 ;;
        -b) binding=$2 ;;
      esac
      shift 2
      ;;
    -p)
      print=yes
      shift
      ;;
    -h)
      say "$usage"
      exit
      ;;
    *) break ;;
  esac
done
[[ $threads =~ ^[1-9][0-9]{0,3}$ ]] || fail "-t needs a number of threads, not '$threads'"
[[ -z $ranks || $ranks =~ ^[1-9][0-9]{0,4}$ ]] || fail "-n needs a number of ranks, not '$ranks'"
[[ -x $program ]] || fail 'nothing is built yet; run launch/quickstart, or swift build -c release'
require_libraries
options=(--threads "$threads")
[[ -z $ranks ]] || options+=(-n "$ranks")
case $binding in
  core) ;;
  none) options+=(--unbound) ;;
  *) fail "-b is core or none, not '$binding'" ;;
esac
words=$("$program" launcher "${options[@]}")
read -ra command <<<"$words"
command+=("$program" train --threads "$threads" "$@")
if [[ -n $print ]]; then
  say "${command[*]}"
  exit
fi
run_ranks "${command[@]}"
