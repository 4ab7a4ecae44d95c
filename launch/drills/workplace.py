"""Where drills make their tries: runs in folders of their own, and how they should end."""

import os
import re
import shutil
import subprocess
import time

from drills.runs import COMMON, SHORT, Run, command, result, steps, write_dataset

# The run went on to the bits of a run that nobody disturbed, or it was killed and continued to them.
SAME = "same bits"
# The run ended with a documented exit code and a line, and continued to these bits, unless it must not go on.
DIAGNOSED = "diagnosed"
# Of a run that was ended from outside.
ANY = range(1, 256)

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "faults.c")


class Workplace:
    """A folder for the tries of drills, and what undisturbed runs come to."""

    def __init__(self, folder):
        self.folder = folder
        self.library = os.path.join(folder, "faults.so")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", self.library, SOURCE, "-ldl"], check=True)
        self.dataset = os.path.join(folder, "d.npz")
        write_dataset(self.dataset)
        self.known = {}

    def place(self, name):
        """A folder for a try, with the data."""
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        shutil.copy(self.dataset, path)
        return path

    def half(self, name, ranks):
        """The same with a short run that has done half of its updates."""
        key = "half", ranks
        if key not in self.known:
            self.known[key] = self.place(f"half-{ranks}")
            self.start(self.known[key], SHORT + ["--steps", "30"], ranks).finish()
        path = os.path.join(self.folder, name)
        shutil.copytree(self.known[key], path)
        return path

    def start(self, place, settings, ranks, fault=None, script=False, before=(), **variables):
        """Starts or continues a run in a try's folder, with a fault or variables for `faults.c`, behind other words."""
        if fault:
            variables["DRILL_FAULT"] = fault
        if variables:
            variables = {"LD_PRELOAD": self.library, "DRILL_ROOT": place, **variables}
        data = ["--dataset", f"{place}/d.npz"] if settings[: len(SHORT)] == SHORT else []
        words = settings + data + COMMON + ["--run-dir", f"{place}/run"]
        return Run([*before, *command(ranks, words, variables, script)], f"{place}/run")

    def undisturbed(self, settings, ranks):
        """What a run comes to that nobody disturbs, and the seconds it takes."""
        key = tuple(settings), ranks
        if key not in self.known:
            place, begin = self.place(f"undisturbed-{len(self.known)}"), time.monotonic()
            run = self.start(place, settings, ranks).finish()
            if run.code != 0:
                raise SystemExit(f"drill: the undisturbed run ends with {run.code}: {run.errors.strip()}")
            self.known[key] = result(run.directory, steps(settings)), time.monotonic() - begin
        return self.known[key]

    def seconds(self, settings, ranks):
        return self.undisturbed(settings, ranks)[1]

    def calls(self, settings=SHORT, half=False):
        """The calls of a short run on files in its folder, or of its second half: kind and path."""
        key = "calls", tuple(settings), half
        if key not in self.known:
            place = self.half("calls-half", 1) if half else self.place(f"calls-{len(self.known)}")
            self.start(place, settings, 1, DRILL_CALLS=f"{place}.log").finish()
            with open(f"{place}.log") as file:
                self.known[key] = [line.rstrip("\n").split(" ", 1) for line in file]
        return self.known[key]

    def conclude(self, run, place, settings, ranks, codes, continues=True, keeps=True):
        """How a disturbed run has ended.

        codes: the exit codes that are right beside 0. continues: whether it must go on. keeps: whether everything that
        it said was saved must still be there.
        """
        where = f"{os.path.basename(place)} on {ranks} rank(s)"
        if run.code is None:
            return f"{where}: does not end: {run.errors.strip()}"
        if run.code != 0 and run.code not in codes:
            return f"{where}: exit code {run.code}: {run.errors.strip()}"
        ending = SAME if run.code == 0 or codes == ANY else DIAGNOSED
        if ending == DIAGNOSED and not run.lines:
            return f"{where}: exit code {run.code} without a line: {run.errors.strip()}"
        if not continues:
            return ending
        saved = run.last_saved if keeps else 0
        for _ in range(3):
            if run.code == 0:
                break
            run = self.start(place, settings, ranks).finish()
            if run.code is not None and run.continued_after < saved:
                return f"{where}: continues after update {run.continued_after}, but {saved} was saved: {run.errors}"
        if run.code != 0:
            return f"{where}: does not go on: exit code {run.code}: {run.errors.strip()}"
        expected, _ = self.undisturbed(settings, ranks)
        got = result(run.directory, steps(settings))
        others = [name for name in expected if got[name] != expected[name]]
        if others:
            return f"{where}: other {', '.join(others)}"
        left = [n for _, _, names in os.walk(run.directory) for n in names if re.search(r"\.partial-\d+$", n)]
        return f"{where}: {left} are left" if left else ending
