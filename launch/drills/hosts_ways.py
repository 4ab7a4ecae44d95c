"""The ways to disturb a job over two hosts. Each makes one try and returns what is wrong, or None."""

import csv
import os
import random
import shutil
import signal
import time

from drills.hosts import NAMES, Hosts
from drills.runs import COMMON, LONG, PROGRAM, ROOT, Run, result, send

# Seconds within which a job must end once it has been disturbed.
LIMIT = 60
# Seconds for --stall-timeout: more than mpirun takes to notice a lost host. When a rank ends before that, mpirun tries to
# tell the lost host, and waits for a quarter of an hour.
STALL = 90
STEPS = 1200
SETTINGS = LONG + ["--steps", str(STEPS)]
# No checkpoint before the end.
UNSAVED = SETTINGS + ["--save-interval", "0", "--eval-interval", "0"]
# What the ranks of a job are called, and what starts them on a host.
RANK, DAEMONS = "fan-dist", ("mpirun", "orted")


class Jobs:
    """Jobs of the launch scripts over two hosts, each in a folder of its own, and what undisturbed ones come to."""

    def __init__(self, folder):
        self.folder = folder
        self.hosts = Hosts(folder)
        self.known = {}
        # Seconds from each disturbance to the end of the job.
        self.ends = []

    def place(self, name):
        """A folder from which a job is submitted: with the program, the scripts and a scheduler's commands."""
        place = os.path.join(self.folder, name)
        os.makedirs(f"{place}/bin")
        os.makedirs(f"{place}/.build")
        os.symlink(os.path.dirname(PROGRAM), f"{place}/.build/release")
        for script in ("slurm.sbatch", "pbs.sh"):
            with open(f"{ROOT}/launch/{script}") as file:
                text = file.read()
            with open(f"{place}/{script}", "w") as file:
                file.write(text.replace("\nlauncher=srun\n", "\nlauncher=mpirun\n"))
        for command in ("scontrol", "qsub"):
            with open(f"{place}/bin/{command}", "w") as file:
                file.write(f'#!/bin/sh\necho "$*" >>"{place}/goes-on"\n')
            os.chmod(f"{place}/bin/{command}", 0o755)
        return place

    def start(self, place, number, ranks=(1, 1), settings=SETTINGS, stall=STALL):
        """Starts a job, or starts it again, with so many ranks on each host. Even numbers: under Slurm; odd: PBS."""
        words = [*settings, *COMMON, "--stall-timeout", str(stall), "--run-dir", f"{place}/run"]
        nodes = self.hosts.hostfile(ranks)
        variables = {**self.hosts.variables, "PATH": f"{place}/bin:{os.environ['PATH']}"}
        if number % 2 == 0:
            command = ["bash", f"{place}/slurm.sbatch", *words]
            variables |= {"SLURM_SUBMIT_DIR": place, "SLURM_JOB_ID": "7", "OMPI_MCA_orte_default_hostfile": nodes}
        else:
            command = ["bash", f"{place}/pbs.sh"]
            variables |= {"PBS_O_WORKDIR": place, "PBS_JOBID": "7.server", "PBS_NODEFILE": nodes}
            variables["ARGUMENTS"] = " ".join(words)
        if os.path.exists(f"{place}/goes-on"):
            os.remove(f"{place}/goes-on")
        return Run(self.hosts.on("alpha", command), f"{place}/run", variables)

    def undisturbed(self, ranks):
        """What a job on these ranks comes to that nobody disturbs."""
        if ranks not in self.known:
            place = self.place("undisturbed-" + "-".join(map(str, ranks)))
            run = self.start(place, 0, ranks).finish()
            count = f"{sum(ranks)} rank(s) on {sum(r > 0 for r in ranks)} node(s)"
            if run.code != 0 or count not in run.output:
                raise SystemExit(f"drill-hosts: {count}: the undisturbed job ends with {run.code}: {run.errors.strip()}")
            self.known[ranks] = result(run.directory, STEPS)
        return self.known[ranks]

    def ranks_on(self, name):
        return self.hosts.found(name, RANK)

    def finish(self, run, codes, disturbed):
        """Waits for the end of a disturbed job. Returns what is wrong with its end, or None."""
        run.finish()
        seconds = time.monotonic() - disturbed
        self.ends.append(seconds)
        said = f"{run.errors.strip()[-600:]}"
        if run.code not in codes:
            return f"exit code {run.code}, not one of {codes}: {said}"
        if seconds > LIMIT:
            return f"ends after {seconds:.0f} s: {said}"
        while left := [pid for name in NAMES for pid in self.hosts.found(name, RANK, *DAEMONS)]:
            if time.monotonic() - disturbed > LIMIT:
                return f"processes are left: {left}"
            time.sleep(0.2)
        return None

    def goes_on(self, place):
        return os.path.exists(f"{place}/goes-on")

    def go_on(self, run, place, number, ranks=(1, 1)):
        """A disturbed job that had saved is submitted again, goes on from there, and comes to the same bits."""
        if not self.goes_on(place):
            return f"has saved, and is not submitted again: {run.output[-300:]}"
        saved = run.last_saved
        again = self.start(place, number, ranks).finish()
        if again.code != 0:
            return f"does not go on: exit code {again.code}: {again.errors.strip()}"
        if again.continued_after < saved:
            return f"goes on after update {again.continued_after}, but {saved} was saved"
        expected, got = self.undisturbed(ranks), result(f"{place}/run", STEPS)
        others = [name for name in expected if got[name] != expected[name]]
        return f"comes to other {', '.join(others)}" if others else None

    def clear(self):
        """Ends what a job may have left, and joins the cable."""
        for name in NAMES:
            for process in self.hosts.found(name, RANK, *DAEMONS):
                send(process, signal.SIGKILL)
        self.hosts.join()


def saved(jobs, place, number, ranks=(1, 1), stall=STALL):
    """A job that has saved and goes on training."""
    jobs.undisturbed(ranks)
    run = jobs.start(place, number, ranks, stall=stall)
    if not run.wait_for(": saved "):
        raise RuntimeError(f"the job saves nothing: exit code {run.process.poll()}: {run.errors.strip()}")
    time.sleep(random.uniform(0, 0.5))
    return run


# The arguments of a way are the jobs, the name of the try and its number.


def cut_link(jobs, name, number):
    """the cable is cut: the job ends and is submitted again"""
    place = jobs.place(name)
    run = saved(jobs, place, number)
    jobs.hosts.cut()
    disturbed = time.monotonic()
    problem = jobs.finish(run, {76, 205}, disturbed)
    jobs.hosts.join()
    return problem or jobs.go_on(run, place, number)


def cut_early(jobs, name, number):
    """the cable is cut before the first checkpoint: the job ends and is not submitted again"""
    place = jobs.place(name)
    run = jobs.start(place, number, settings=UNSAVED)
    if not run.wait_for(f"\n100/{STEPS}"):
        return f"does not begin: {run.errors.strip()}"
    jobs.hosts.cut()
    problem = jobs.finish(run, {76, 205}, time.monotonic())
    return problem or ("has saved nothing, and is submitted again" if jobs.goes_on(place) else None)


def lose_host(jobs, name, number):
    """all that runs on the other host is killed, as at a restart: the job ends and is submitted again"""
    place = jobs.place(name)
    run = saved(jobs, place, number)
    for process in jobs.hosts.found("beta", RANK, *DAEMONS):
        send(process, signal.SIGKILL)
    return jobs.finish(run, {76, 205, 137, 9}, time.monotonic()) or jobs.go_on(run, place, number)


def stop_rank(jobs, name, number):
    """STOP to a rank on the other host: the others end with 76"""
    place = jobs.place(name)
    run = saved(jobs, place, number, stall=4)
    send(jobs.ranks_on("beta")[0], signal.SIGSTOP)
    return jobs.finish(run, {76}, time.monotonic()) or jobs.go_on(run, place, number)


def kill_rank(jobs, name, number):
    """KILL to a rank on the other host: 137"""
    place = jobs.place(name)
    run = saved(jobs, place, number)
    send(jobs.ranks_on("beta")[0], signal.SIGKILL)
    return jobs.finish(run, {137, 9}, time.monotonic()) or jobs.go_on(run, place, number)


def usr1(jobs, name, number):
    """USR1 from the scheduler to the script: the job saves, ends with 75 and is submitted again"""
    place = jobs.place(name)
    run = saved(jobs, place, number)
    send(run.process.pid, signal.SIGUSR1)
    return jobs.finish(run, {75}, time.monotonic()) or jobs.go_on(run, place, number)


def uneven(jobs, name, number):
    """two ranks on one host and one on the other, and USR1: as above"""
    place, ranks = jobs.place(name), (2, 1)
    run = saved(jobs, place, number, ranks)
    send(run.process.pid, signal.SIGUSR1)
    return jobs.finish(run, {75}, time.monotonic()) or jobs.go_on(run, place, number, ranks)


def other_hosts(jobs, name, number):
    """USR1, then on fewer hosts, USR1, then on more: each goes on where the one before ended"""
    place, ended = jobs.place(name), 0
    for ranks in [(1, 1), (1, 0), (2, 1)]:
        run = jobs.start(place, number, ranks)
        if not run.wait_for(": saved "):
            return f"on {ranks} ranks: saves nothing: {run.errors.strip()}"
        if run.continued_after != ended:
            return f"on {ranks} ranks: goes on after update {run.continued_after}, not {ended}"
        if ranks == (2, 1):
            break
        send(run.process.pid, signal.SIGUSR1)
        if problem := jobs.finish(run, {75}, time.monotonic()):
            return f"on {ranks} ranks: {problem}"
        ended = run.last_saved
    if run.finish().code != 0:
        return f"exit code {run.code}: {run.errors.strip()}"
    with open(f"{place}/run/train.csv") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    expected = list(range(20, STEPS + 1, 20))
    return None if steps == expected else f"train.csv has other updates: {steps}"


WAYS = {
    "cut-link": cut_link, "cut-early": cut_early, "lose-host": lose_host, "stop-rank": stop_rank,
    "kill-rank": kill_rank, "usr1": usr1, "uneven": uneven, "other-hosts": other_hosts,
}
