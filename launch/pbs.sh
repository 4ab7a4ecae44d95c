#!/usr/bin/env bash
# Trains as a PBS job (PBS Pro, OpenPBS, Torque): one run on all ranks, or all runs of a sweep. Copy this file, change
# what is marked, and submit it from the repository's root:
#
#   qsub launch/pbs.sh
#   qsub -v SWEEP=my.yaml launch/pbs.sh           a sweep; groups of as many ranks as a run has take run after run
#   qsub -v ARGUMENTS="--seed 1" launch/pbs.sh    arguments for fan-dist, without commas
#   qstat -u "$USER"                              is it waiting (Q) or running (R)?
#   qdel JOBID                                    end it
#
# A *rank* is one process of the run. mpirun starts the ranks on the machines that PBS gave to the job. The ranks of a
# run share the work of every batch. More ranks make an update faster as long as the batch has work for all of them:
# start with as many ranks as a node has cores. A sweep uses any number of ranks: its runs train at the same time.
#
# Build on a login node beforehand (launch/quickstart --steps 1), on the same kind of processor and with the same
# Open MPI as the compute nodes. The repository and the run directory must be on a disk that all nodes see. Between
# nodes mpirun needs an Open MPI that was built for PBS (`ompi_info | grep tm`) or ssh without a password.

# --- Change: how many machines (select), ranks on each (mpiprocs), cores on each (ncpus), for how long. -------------
#PBS -N fan-dist
#PBS -l select=1:ncpus=8:mpiprocs=8
#PBS -l walltime=04:00:00
# Torque writes it like this:
##PBS -l nodes=1:ppn=8

# --- Keep. ----------------------------------------------------------------------------------------------------------
# PBS reads these lines up to the first command. -r y: PBS may start the job again after the failure of a node. -j oe:
# standard error goes to the file of standard output.
#PBS -r y
#PBS -j oe

# --- Change: the same time in seconds, for the signal below. --------------------------------------------------------
walltime=$((4 * 3600))
# Cores of each rank: ncpus / mpiprocs.
threads=1

# --- Keep. ----------------------------------------------------------------------------------------------------------
set -euo pipefail
# This script, as PBS keeps it for the job: the copy that was submitted.
script=$(realpath "$0")
cd "$PBS_O_WORKDIR"

# The run directory is named after the first job, a sweep's after its file. The jobs that continue it get RUN_DIRECTORY.
# ARGUMENTS has no quotes because it is several words.
if [[ -n ${SWEEP:-} ]]; then
  run_directory=${RUN_DIRECTORY:-runs/$(basename "${SWEEP%.*}")} option=--out
  # shellcheck disable=SC2206
  command=(sweep "$SWEEP" --out "$run_directory" ${ARGUMENTS:-})
else
  run_directory=${RUN_DIRECTORY:-runs/pbs-${PBS_JOBID%%.*}} option=--run-dir
  # --resume auto starts the run the first time and continues it afterwards
  # shellcheck disable=SC2206
  command=(train --run-dir "$run_directory" --resume auto --threads "$threads" ${ARGUMENTS:-})
fi
# If the arguments name a directory, it comes after this one and wins.
is_value=''
for argument in ${ARGUMENTS:-}; do
  [[ -z $is_value ]] || run_directory=$argument
  is_value=''
  case $argument in
    "$option") is_value=yes ;;
    "$option"=*) run_directory=${argument#*=} ;;
  esac
done

# Libraries would start one thread for each core of the machine; this gives one for each core of the rank.
export OMP_NUM_THREADS=$threads
export OPENBLAS_NUM_THREADS=$threads

# Over TCP, Open MPI uses both directions of a link at once with this setting.
export OMPI_MCA_btl_tcp_flags=1

# When a host is lost, mpirun notices after half a minute, not after five to fifteen.
export OMPI_MCA_oob_tcp_keepalive_time=10 OMPI_MCA_oob_tcp_keepalive_intvl=5 OMPI_MCA_oob_tcp_keepalive_probes=4

# All checkpoints there are: what a job adds to them is its progress.
checkpoints() { { find "$run_directory" -name 'step-*.safetensors' 2>/dev/null || true; } | sort; }
before=$(checkpoints)

# PBS ends a job at its limit with little warning. Two minutes before, `timeout` sends USR1 to mpirun, which passes it
# on to all ranks: fan-dist saves and exits with 75.
# setpriv, setsid       PBS sends TERM to all processes of the job's session when it deletes or preempts the job, and
#                       mpirun would end the ranks within a second. So mpirun has a session of its own, and ends with
#                       this script.
# --map-by, --bind-to   each rank keeps its cores to itself
# -x                    ranks on other machines get these variables, too
apart=(setsid)
! command -v setpriv >/dev/null || apart=(setpriv --pdeathsig TERM setsid)
"${apart[@]}" timeout --foreground --preserve-status --signal=USR1 $((walltime - 120)) \
  mpirun --hostfile "$PBS_NODEFILE" --map-by "slot:PE=$threads" --bind-to core \
  -x OMP_NUM_THREADS -x OPENBLAS_NUM_THREADS .build/release/fan-dist "${command[@]}" &
job=$!

# At TERM the ranks save, too. (Ranks on other machines may get TERM from PBS itself, which leaves them a second or two;
# `qsig -s USR1 JOBID` before `qdel` saves them, too.) This script submits no further job then: PBS itself starts a
# preempted job again, and a deleted job is not to go on.
ended='' interrupted=''
trap 'ended=yes interrupted=yes; kill -s USR1 "$job" 2>/dev/null || true' TERM
trap 'interrupted=yes; kill -s USR1 "$job" 2>/dev/null || true' USR1
while true; do
  interrupted='' status=0
  wait "$job" || status=$?
  # A signal interrupts `wait` although the ranks still save; then wait again.
  [[ -n $interrupted ]] || break
done
[[ -z $ended ]] || exit "$status"

# 75: stopped and saved. 76: stopped, and nothing was saved since the last checkpoint. 205, 137, 9: a rank or its host was
# lost. A new job continues, but not for ever: only if this one has saved something. (`qrerun` would start this job again,
# but only operators may call it. Where compute nodes may not submit jobs, give the qsub command below on the login node.)
case $status in
  75 | 76 | 205 | 137 | 9)
    if [[ $(checkpoints) != "$before" ]]; then
      echo "Submitting a job that continues $run_directory."
      qsub -v "RUN_DIRECTORY=$run_directory,SWEEP=${SWEEP:-},ARGUMENTS=${ARGUMENTS:-}" "$script"
    else
      echo "This job has added no checkpoint to $run_directory, and no further job is submitted: look at what it prints," \
        "allow more time, and submit again with RUN_DIRECTORY=$run_directory."
    fi
    ;;
esac
exit "$status"
