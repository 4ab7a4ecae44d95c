"""The ways to disturb a run. Each makes one try and returns how it ended: SAME, DIAGNOSED, or what is wrong."""

import errno
import fcntl
import os
import random
import re
import shutil
import signal
import subprocess
import time

from drills.runs import COMMON, LONG, LONG_ONLINE, SHORT, SHORT_ONLINE, STALL, Run, command, send, steps
from drills.workplace import ANY, DIAGNOSED, SAME

SIGNALS = {"usr1": signal.SIGUSR1, "term": signal.SIGTERM, "int": signal.SIGINT, "hup": signal.SIGHUP}
CHANGES = ("create", "write", "mkdir", "sync", "rename", "remove")
# Exit codes of calls that fail.
FAILURES = {65, 66, 71, 73}
# Seconds after its start in which a program may still be loaded, on a busy machine.
LOADING = 0.06


# The arguments of a way are the workplace, the name of the try, its number, and how many tries there are.


def ranks_of(number):
    return 1 + number % 2


def kill_rank(work, name, number, tries):
    """KILL to a rank of two at any moment"""
    return at_any_moment(work, name, 2, ANY, lambda run: send_one(run, signal.SIGKILL))


def kill_mpirun(work, name, number, tries):
    """KILL to mpirun at any moment"""
    return at_any_moment(work, name, 2, ANY, lambda run: run.process.kill())


def stop_rank(work, name, number, tries):
    """STOP to a rank of two at any moment: the others end with 76"""
    return at_any_moment(work, name, 2, {76}, lambda run: send_one(run, signal.SIGSTOP))


def suspend(work, name, number, tries):
    """STOP to all processes for longer than --stall-timeout, then CONT: it goes on"""

    def pause(run):
        ranks = run.ranks()
        for rank in ranks:
            send(rank, signal.SIGSTOP)
        time.sleep(STALL + 2)
        for rank in ranks:
            send(rank, signal.SIGCONT)

    return at_any_moment(work, name, ranks_of(number), set(), pause)


def kill_online(work, name, number, tries):
    """KILL to a rank of one or two at any moment of a run that goes on in the environment"""
    return at_any_moment(work, name, ranks_of(number), ANY, lambda run: send_one(run, signal.SIGKILL), LONG_ONLINE)


def at_any_moment(work, name, ranks, codes, disturb, settings=LONG):
    place = work.place(name)
    moment = random.uniform(0.05, work.seconds(settings, ranks))
    run = work.start(place, settings, ranks)
    time.sleep(moment)
    disturb(run)
    return work.conclude(run.finish(), place, settings, ranks, codes)


def send_one(run, number):
    ranks = run.ranks()
    if ranks:
        send(random.choice(ranks), number)


def signalled(which):
    def way(work, name, number, tries):
        # In turn: a run of one process, half of them in its first moments; launch/local.sh with two ranks; one of two
        # ranks.
        to, place = ("process", "script", "rank")[number % 3], work.place(name)
        ranks = 1 if to == "process" else 2
        latest = LOADING if to == "process" and number % 2 else work.seconds(LONG, ranks)
        moment = random.uniform(0.4 if to == "script" else 0, latest)
        run = work.start(place, LONG, ranks, script=to == "script")
        time.sleep(moment)
        has_begun = os.path.exists(run.directory)
        if to == "rank":
            send_one(run, SIGNALS[which])
        else:
            send(run.process.pid, SIGNALS[which])
        run.finish()
        # While the system still loads the program, a signal ends it as any other.
        if run.code == 128 + SIGNALS[which] and not has_begun and moment < LOADING:
            return DIAGNOSED
        return work.conclude(run, place, LONG, ranks, {75})

    way.__doc__ = f"{which.upper()} to a process, to launch/local.sh and to one of two ranks, at any moment: 75"
    return way


def position(calls, number, tries):
    """The number of a call; the tries are spread over all of them."""
    return 1 + int((number + random.random()) * len(calls) / tries)


def kill_save(work, name, number, tries):
    """KILL at every write, sync, rename and removal; in turn of a run that stays offline, and of one that goes on"""
    place, ranks, settings = work.place(name), ranks_of(number), in_turn(number)
    calls = [kind for kind, _ in work.calls(settings) if kind in CHANGES]
    run = work.start(place, settings, ranks, f"change {position(calls, number, tries)} kill").finish()
    return work.conclude(run, place, settings, ranks, ANY)


def in_turn(number):
    return SHORT_ONLINE if number // 2 % 2 else SHORT


def power_cut(work, name, number, tries):
    """the power goes off at any write, sync, rename or removal, offline and online: what was not synced is gone"""
    place, ranks, settings = work.place(name), ranks_of(number), in_turn(number // 2)
    kept = place + "-kept"
    os.mkdir(kept)
    calls = [kind for kind, _ in work.calls(settings) if kind in CHANGES]
    run = work.start(place, settings, ranks, f"change {position(calls, number, tries)} cut", DRILL_CUT=kept).finish()
    if os.path.exists(f"{kept}/root"):
        with open(f"{kept}/root") as file:
            root = file.read()
        shutil.rmtree(f"{place}/run", ignore_errors=True)
        # In turn: names that nobody synced are gone; they are there, but not what the files held.
        restore(kept, root, place, "now-" if number // 2 % 2 else "")
    return work.conclude(run, place, settings, ranks, ANY)


def restore(kept, key, path, prefix):
    """Makes a directory as `faults.c` has kept it."""
    os.makedirs(path, exist_ok=True)
    if not os.path.exists(f"{kept}/{prefix}{key}"):
        return
    with open(f"{kept}/{prefix}{key}") as file:
        entries = [line.rstrip("\n").split(" ", 1) for line in file]
    for other, name in entries:
        if other[0] == "d":
            restore(kept, other, f"{path}/{name}", prefix)
        elif name != "d.npz":
            if os.path.exists(f"{kept}/{other}"):
                shutil.copy(f"{kept}/{other}", f"{path}/{name}")
            else:
                open(f"{path}/{name}", "w").close()


def full_disk(work, name, number, tries):
    """the disk is full from a write on, in each file that a run writes: 73"""
    place, ranks, settings = work.place(name), ranks_of(number), in_turn(number)
    grows = [path for kind, path in work.calls(settings) if kind in ("create", "write", "mkdir")]
    files = {}
    for i, path in enumerate(grows):
        files.setdefault(re.sub(r"\d+", "N", os.path.basename(path)), []).append(i + 1)
    first = random.choice(sorted(files.items())[number % len(files)][1])
    run = work.start(place, settings, ranks, f"grow {first}+ {errno.ENOSPC}").finish()
    return work.conclude(run, place, settings, ranks, {73})


def failing(work, name, number, tries):
    """a call fails once or from then on, or does half: opening, reading, listing, writing, locks, syncs, renames"""
    kinds = ["open", "read", "list", "lock", "create", "write", "sync", "rename", "mkdir", "remove"]
    kind, half = kinds[number % len(kinds)], number // len(kinds) % 3 != 2
    ranks = ranks_of(number // len(kinds))
    place = work.half(name, ranks) if half else work.place(name)
    count = sum(1 for other, _ in work.calls(half=half) if other == kind)
    what = random.choice([errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOLCK] + ["half"] * (kind in ("read", "write")))
    fault = f"{kind} {random.randint(1, max(count, 1))}{random.choice(['', '+'])} {what}"
    run = work.start(place, SHORT, ranks, fault).finish()
    ending = work.conclude(run, place, SHORT, ranks, FAILURES)
    return ending if ending in (SAME, DIAGNOSED) else f"{fault}: {ending}"


def garble(work, name, number, tries):
    """a read gives one wrong bit"""
    ranks = ranks_of(number)
    place = work.half(name, ranks)
    calls = [path for kind, path in work.calls(half=True) if kind == "read"]
    read = position(calls, number, tries)
    run = work.start(place, SHORT, ranks, f"read {read} garble").finish()
    ending = work.conclude(run, place, SHORT, ranks, FAILURES)
    return ending if ending in (SAME, DIAGNOSED) else f"reading {calls[read - 1]}: {ending}"


def damage(work, name, number, tries):
    """checkpoints with wrong bits, cut short, zeroed, or other files in their place: older ones, or 65 if there is none"""
    ranks = ranks_of(number)
    place = work.half(name, ranks)
    folder = f"{place}/run/checkpoints"
    files = sorted(os.listdir(folder))
    chosen = random.sample(files, random.randint(1, len(files)))
    for file in chosen:
        spoil(os.path.join(folder, file))
    periodic = {file for file in files if file.startswith("step-")}
    before = contents(folder)
    run = work.start(place, SHORT, ranks).finish()
    if not periodic <= set(chosen):
        return work.conclude(run, place, SHORT, ranks, set(), keeps=False)
    if run.code != 65 or contents(folder) != before:
        return f"{name}: all checkpoints are damaged, and it ends with {run.code}: {run.errors.strip()}"
    return work.conclude(run, place, SHORT, ranks, {65}, continues=False)


def contents(folder):
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            found[name] = file.read()
    return found


def spoil(path):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    begin = random.randrange(len(data))
    end = random.randint(begin, len(data))
    way = random.choice(["bit", "bits", "short", "zeroes", "longer", "empty", "other"])
    if way in ("bit", "bits"):
        for _ in range(1 if way == "bit" else random.randint(2, 1000)):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif way == "short":
        del data[begin:]
    elif way == "zeroes":
        # The header has none, so something changes.
        data[8:24] = bytes(16)
        data[begin:end] = bytes(end - begin)
    elif way == "longer":
        data += random.randbytes(random.randint(1, 1000))
    elif way == "empty":
        data.clear()
    else:
        data = random.choice([b"\x93NUMPY", b"PK\x03\x04", b"{}", random.randbytes(5000), b"\xff" * 16])
    with open(path, "wb") as file:
        file.write(data)


def flip_bit(work, name, number, tries):
    """one wrong bit in one group's parameters, targets or moments: 78 before it is saved, or nothing comes of it"""
    place, settings = work.place(name), LONG + ["--ranks-per-node", "1", "--log-interval", "10"]
    # The first save writes about 150 tensors; then each logged update is a write.
    run = work.start(place, settings, 2, f"write {random.randint(300, 900)} flip", DRILL_RANK="0").finish()
    return work.conclude(run, place, settings, 2, {73, 78})


def set_clock(work, name, number, tries):
    """somebody sets the clock forward or back: it goes on"""
    place, ranks = work.place(name), ranks_of(number)
    after = random.uniform(0, work.seconds(LONG, ranks))
    offset = random.choice([60, 3600, 86400 * 400, -60, -3600, -86400 * 400])
    run = work.start(place, LONG, ranks, DRILL_CLOCK=f"{after} {offset}").finish()
    ending = work.conclude(run, place, LONG, ranks, set())
    return ending if ending == SAME else f"{offset} s after {after:.2f} s: {ending}"


def small_shm(work, name, number, tries):
    """two runs begin together in a small /dev/shm: they train, or end with 71"""
    # Networks of some MB.
    settings = SHORT + ["--actor-hidden-dims", "160,160", "--value-hidden-dims", "160,160", "--steps", "20"]
    size = random.uniform(0.5, 20)
    script = f"mount -t tmpfs -o size={int(size * 1024)}k tmpfs /dev/shm && echo ready && exec sleep 1000"
    space = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    holder = subprocess.Popen(space + ["sh", "-c", script], stdout=subprocess.PIPE)
    try:
        if holder.stdout.readline() != b"ready\n":
            return f"{name}: no mount namespace can be made here"
        enter = ["nsenter", "--target", str(holder.pid), "--mount"] + (["--user"] if os.geteuid() else [])
        places = [work.place(f"{name}-{i}") for i in range(2)]
        runs = []
        for place in places:
            runs.append(work.start(place, settings, 2, before=enter))
        endings = [
            work.conclude(run.finish(), place, settings, 2, {71}) for run, place in zip(runs, places)]
    finally:
        holder.kill()
        holder.wait()
    wrong = [ending for ending in endings if ending not in (SAME, DIAGNOSED)]
    return f"{size:.2f} MB: {wrong}" if wrong else DIAGNOSED if DIAGNOSED in endings else SAME


PHASES = ["loading", "import", "update", "saving", "last evaluation", "end"]


def stop_phase(work, name, number, tries):
    """STOP to a rank of two while it loads, waits for an import, updates, saves, evaluates at the end, or ends: 76"""
    phase = PHASES[number % len(PHASES)]
    place = work.place(name)
    if phase == "import":
        return stop_in_import(work, place)
    settings, fault, rank = SHORT, None, "0"
    if phase == "loading":
        fault = f"read {random.randint(1, 6)} stop"
    elif phase == "saving":
        changes = [path for kind, path in work.calls() if kind in CHANGES]
        fault = f"change {random.choice([i + 1 for i, path in enumerate(changes) if '.partial-' in path])} stop"
    elif phase == "end":
        fault, rank = "end 1 stop", random.choice("01")
    elif phase == "update":
        settings = LONG
    else:
        settings = SHORT + ["--eval-interval", "0", "--eval-episodes", "5000"]
    run = work.start(place, settings, 2, fault, **({"DRILL_RANK": rank} if fault else {}))
    if not fault:
        run.wait_for("\n100/" if phase == "update" else f"update {steps(settings)}: saved")
        send_one(run, signal.SIGSTOP)
    ending = work.conclude(run.finish(), place, settings, 2, {76})
    return ending if ending in (SAME, DIAGNOSED) else f"{phase}: {ending}"


def stop_in_import(work, place):
    name = "cube-single-play-singletask-v0"
    os.makedirs(f"{place}/{name}.partial")
    with open(f"{place}/{name}.partial/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = ["--env", name, "--eval-episodes", "0"] + COMMON + ["--run-dir", f"{place}/run"]
        run = Run(command(2, words, {"FAN_DIST_DATA": place}), f"{place}/run")
        run.wait_for("waiting for another process that imports")
        send_one(run, signal.SIGSTOP)
        ending = work.conclude(run.finish(), place, SHORT, 2, {76}, continues=False)
    return ending if ending == DIAGNOSED else f"import: {ending}"


WAYS = {
    "kill-rank": kill_rank, "kill-mpirun": kill_mpirun, "kill-online": kill_online, "kill-save": kill_save,
    "stop-rank": stop_rank, "stop-phase": stop_phase, "suspend": suspend,
    **{which: signalled(which) for which in SIGNALS},
    "set-clock": set_clock, "power-cut": power_cut, "full-disk": full_disk, "failing": failing, "garble": garble,
    "damage": damage, "flip-bit": flip_bit, "small-shm": small_shm,
}
