"""Two hosts on one machine: namespaces with a name, a /dev/shm and a network of their own, joined by a cable.

They share files and the numbers of processes. What runs on one reaches the other through TCP over the cable only.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("alpha", "beta")
ADDRESSES = ("10.77.7.1", "10.77.7.2")
# Set where `enter` has been.
MARK = "DRILL_HOSTS"

START = (
    'hostname "$0" && mount -t tmpfs tmpfs /dev/shm && mount --bind "$1" /etc/hosts && ip link set lo up && echo ready'
    " && exec sleep infinity"
)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(0)


def enter():
    """Starts this script again in namespaces where it may make hosts. All that it starts there ends with it.

    Says why, and ends, where that is not allowed.
    """
    if MARK in os.environ:
        return
    for name in ("ip", "unshare", "nsenter", "mpirun"):
        if not shutil.which(name):
            skip(f"there is no {name}")
    space = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    space += ["--map-root-user"] if os.geteuid() else []
    tried = subprocess.run([*space, "ip", "link", "add", "try", "type", "veth"], capture_output=True, text=True)
    if tried.returncode:
        skip(f"this system does not allow network namespaces: {tried.stderr.strip()}")
    os.execvpe(space[0], [*space, sys.executable, *sys.argv], {**os.environ, MARK: "yes"})


class Hosts:
    """The hosts `alpha`, where jobs are started, and `beta`. They end with this process."""

    def __init__(self, folder):
        self.folder = folder
        addresses = os.path.join(folder, "addresses")
        with open(addresses, "w") as file:
            file.write("127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for a, n in zip(ADDRESSES, NAMES)))
        self.processes = {}
        for name in NAMES:
            words = ["unshare", "--mount", "--uts", "--net", "sh", "-c", START, name, addresses]
            holder = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            line = holder.stdout.readline()
            if line != "ready\n":
                skip(f"this system does not allow what a host needs: {line.strip()}")
            self.processes[name] = holder.pid
        self.call("alpha", "ip", "link", "add", "net0", "type", "veth", "peer", "name", "net0", "netns",
                  str(self.processes["beta"]))
        for name, address in zip(NAMES, ADDRESSES):
            self.call(name, "ip", "address", "add", f"{address}/24", "dev", "net0")
            self.call(name, "ip", "link", "set", "net0", "up")
        self.write_agent()

    def write_agent(self):
        """The program that takes the place of ssh: mpirun starts its daemon on the other host with it."""
        self.agent = os.path.join(self.folder, "agent")
        cases = "".join(f"{name}) process={pid} ;;\n" for name, pid in self.processes.items())
        with open(self.agent, "w") as file:
            file.write(f"#!/bin/sh\nhost=$1\nshift\ncase $host in\n{cases}esac\n"
                       'exec nsenter --target "$process" --mount --uts --net sh -c "$*"\n')
        os.chmod(self.agent, 0o755)

    def on(self, name, words):
        """The command line that runs another one on a host, in the present directory."""
        return ["nsenter", "--target", str(self.processes[name]), "--mount", "--uts", "--net",
                "sh", "-c", 'cd "$0" && exec "$@"', os.getcwd(), *words]

    def call(self, name, *words):
        subprocess.run(self.on(name, words), check=True)

    def hostfile(self, ranks):
        """A file that gives mpirun so many ranks on each host."""
        path = os.path.join(self.folder, "hosts-" + "-".join(map(str, ranks)))
        with open(path, "w") as file:
            file.write("".join(f"{name} slots={count}\n" for name, count in zip(NAMES, ranks) if count))
        return path

    @property
    def variables(self):
        """The environment of jobs. The hosts share the machine's cores, so ranks that wait leave them to others."""
        return {
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_plm_rsh_agent": self.agent, "OMPI_MCA_mpi_yield_when_idle": "1",
        }

    def cut(self):
        """Cuts the cable, as alpha sees it."""
        self.call("beta", "ip", "link", "set", "net0", "down")

    def join(self):
        self.call("beta", "ip", "link", "set", "net0", "up")

    def shape(self, rate):
        """Limits both directions of the cable, to 10gbit for instance; None: no limit."""
        for name in NAMES:
            subprocess.run(self.on(name, ["tc", "qdisc", "del", "dev", "net0", "root"]), stderr=subprocess.DEVNULL)
            if rate:
                self.call(name, "tc", "qdisc", "add", "dev", "net0", "root", "handle", "1:", "tbf", "rate", rate,
                          "burst", "512kb", "limit", "8mb")

    def found(self, name, *commands):
        """The processes on a host that run these commands, but not the host's own."""
        network, found = os.readlink(f"/proc/{self.processes[name]}/ns/net"), []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    command, state = file.read().rsplit(")", 1)
                if command.split("(", 1)[1] in commands and state.split()[0] != "Z" and (
                        os.readlink(f"/proc/{pid}/ns/net") == network):
                    found.append(int(pid))
            except OSError:
                continue
        return sorted(found)
